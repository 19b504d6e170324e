"""The pointing game: does attention peak where the attribute shows? Maps against boxes, beside what chance would hit.

Source: Zhang et al., Top-down Neural Attention by Excitation Backprop, ECCV 2016; there by pixel, here by cell of the map.
"""

import numpy as np


def cells_inside(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bool (H, W): the cells of a map whose centre lies in one of the boxes.

    Args: boxes: float (k, 4): left, top, right, bottom as fractions of the photo's width and height, the last two exclusive.
    """
    y, x = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    across = (boxes[:, 0:1] <= x) & (x < boxes[:, 2:3])  # (k, W)
    down = (boxes[:, 1:2] <= y) & (y < boxes[:, 3:4])  # (k, H)
    return np.asarray((down[:, :, None] & across[:, None, :]).any(axis=0))


def point(attention: np.ndarray, boxes: np.ndarray) -> tuple[float, float]:
    """Whether the peak of one map lies in a box, and the chance that a cell drawn at random does.

    Args: attention: (H, W). boxes: as `cells_inside`.
    Returns: the hit, 1 or 0, or where several cells share the peak their share inside, so that an even map earns chance; and
        the share of cells inside, 0 for boxes too small or too far out to hold the centre of a cell.
    """
    inside = cells_inside(boxes, *attention.shape)
    return float(inside[attention == attention.max()].mean()), float(inside.mean())
