"""The newest span beside the earlier ones: in the labels of all spans together, a small odd one would not be seen."""

from collections import defaultdict
from collections.abc import Iterator

from components.catalogue_gen.span_counts import SpanCount
from components.label_validator.findings import Finding, Shares, chance, labelled, most_moved


def span_drift(split: str, counts: list[SpanCount], limit: float) -> Iterator[Finding]:
    """Attributes of which a class's share, or that of the labelled photos, moved by more than `limit` and than chance.

    Args: counts: of all spans and splits. limit: a fraction.
    """
    newest = max((one.span for one in counts), default=0)
    here = [one for one in counts if one.split == split]
    parts = [[one for one in here if (one.span == newest) == new] for new in (False, True)]
    for attribute in sorted({one.attribute for one in counts} - {""}) if all(parts) else ():
        old, new = (_shares(part, attribute) for part in parts)
        moved = most_moved(old, new) if old.classes and new.classes else None
        # Not what is new or gone: the statistics of all spans tell the one, and a small span lacks what is rare.
        if moved and abs(moved.then - moved.now) > limit + chance(labelled(old), labelled(new)):
            line = f"{split}, {attribute}: {moved.format('in the earlier spans', f'in span {newest}')}"
            yield Finding("drift", split, attribute, line)
        if abs(old.labelled - new.labelled) > limit + chance(old.photos, new.photos):
            line = (
                f"{split}, {attribute}: {old.labelled:.1%} of the photos were labelled in the earlier spans, "
                f"{new.labelled:.1%} in span {newest}"
            )
            yield Finding("drift", split, attribute, line)


def _shares(counts: list[SpanCount], attribute: str) -> Shares:
    """Of one attribute in all spans in `counts` together; there is a photo."""
    photos, with_any, classes = 0, 0, defaultdict[str, int](int)
    for one in counts:
        if not one.attribute:
            photos += one.photos
        elif one.attribute == attribute and not one.name:
            with_any += one.photos
        elif one.attribute == attribute:
            classes[one.name] += one.photos
    total = sum(classes.values())
    return Shares(photos, with_any / photos, {name: count / total for name, count in classes.items()})
