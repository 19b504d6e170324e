"""One photo of the sample: a garment on its wearer in a scene, and where each attribute shows."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from pipeline.sample.camera import take_photo
from pipeline.sample.canvas import Canvas
from pipeline.sample.details import draw_details
from pipeline.sample.fabric import make_fabric
from pipeline.sample.garment import Garment
from pipeline.sample.necklines import draw_inside, draw_neckline
from pipeline.sample.pose import Box, deal_pose
from pipeline.sample.scene import draw_background, draw_occluder
from pipeline.sample.shapes import Points
from pipeline.sample.silhouette import body_outline, draw_body, draw_sleeves
from pipeline.sample.wearer import deal_wearer, draw_behind, draw_in_front


class Region(NamedTuple):
    """Where a class of an attribute shows."""

    attribute: str
    name: str
    box: Box


@dataclass(frozen=True)
class Photo:
    """An RGB image before compression, and its regions in the order of the attributes."""

    image: Image.Image
    regions: tuple[Region, ...]


def draw_photo(garment: Garment, seed: int, index: int) -> Photo:
    """Draws a garment in the scene of photo `index`: pose, wearer, background, light and noise follow from seed and index.

    The scene owes nothing to the garment's classes: drawn with another neckline, the photo changes only where the
    necklines show, but for a level of noise.
    """
    pose = deal_pose(seed, index)
    canvas = Canvas(draw_background(seed, index, pose.width, pose.height), pose)
    wearer = deal_wearer(seed, index)
    draw_behind(canvas, wearer)
    if wearer.hanger:
        draw_inside(canvas, garment)
    outlines = _draw_garment(canvas, garment)
    draw_in_front(canvas, wearer)
    draw_occluder(canvas.pixels, seed, index)
    regions = tuple(Region(attribute, name, pose.box(outline)) for attribute, name, outline in outlines)
    return Photo(take_photo(canvas.pixels, seed, index), regions)


def _draw_garment(canvas: Canvas, garment: Garment) -> list[tuple[str, str, Points]]:
    """Draws the garment; returns attribute, class and outline of every region."""
    fabric = make_fabric(garment)
    sleeves = draw_sleeves(canvas, garment, fabric)
    hem = draw_body(canvas, garment, fabric)
    details = draw_details(canvas, garment)
    neckline = draw_neckline(canvas, garment, fabric)
    cloth = np.concatenate([body_outline(garment), neckline])
    if garment.sleeve_length != "sleeveless":
        cloth = np.concatenate([cloth, *sleeves])
    return [
        ("neckline", garment.neckline, neckline),
        *(("sleeve_length", garment.sleeve_length, sleeve) for sleeve in sleeves),
        ("colour", garment.colour, cloth),
        ("pattern", garment.pattern, cloth),
        ("length", garment.length, hem),
        *(("details", name, outline) for name, outline in details),
    ]
