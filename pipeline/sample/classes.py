"""What the drawn sample is labelled with: six attributes and their classes."""

NONE = "none"
"""The class of a garment without details; an empty cell, in contrast, says nobody looked."""

DETAILS = "details"
"""The multi-label attribute."""

CLASSES: dict[str, tuple[str, ...]] = {
    "neckline": ("boat", "round", "shirt_collar", "square", "turtleneck", "v_neck"),
    "sleeve_length": ("elbow", "long", "short", "sleeveless"),
    "colour": ("black", "blue", "brown", "green", "grey", "pink", "purple", "red", "white", "yellow"),
    "pattern": ("checks", "dots", "floral", "horizontal_stripes", "plain", "vertical_stripes"),
    "length": ("crop", "hip", "knee"),
    DETAILS: ("belt", "bow", "buttons", NONE, "pocket", "zip"),
}
"""Classes by attribute, both in the order of the catalogue's columns."""
