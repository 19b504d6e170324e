"""Where attention peaks on the drawn sample's test photos: hits in the attribute's box an attribute, beside chance.

    python -m benchmarks.pointing_game SAMPLE MODEL.keras [MODEL.keras ...]

SAMPLE: a folder that `m3net sample` drew, whose regions.csv has the boxes. MODEL: as a run leaves it beside its SavedModel.
Chance: the share of the map's cells whose centre lies in a box. Intervals: 95 %, over photos, of hits - chance.
"""

import argparse
import csv
import os
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image
from tabulate import tabulate

from models import systems
from models.features import decode_photos
from models.pointing import point
from models.systems import System

_BATCH = 64
Boxes = dict[tuple[str, str], list[list[int]]]  # by image and attribute: left, top, right, bottom in pixels


def boxes_of(sample: Path) -> Boxes:
    """What regions.csv says."""
    found: Boxes = defaultdict(list)
    with (sample / "regions.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["image"], row["attribute"]].append([int(row[side]) for side in ("left", "top", "right", "bottom")])
    return found


def test_images(sample: Path) -> list[str]:
    """The photos of the split test."""
    with (sample / "catalogue.csv").open(encoding="utf-8", newline="") as file:
        return [row["image"] for row in csv.DictReader(file) if row["split"] == "test"]


def played(system: System, sample: Path) -> dict[str, np.ndarray]:
    """By attribute a row a photo, hit and chance; photos with no box that holds a cell's centre are left out."""
    boxes, images = boxes_of(sample), test_images(sample)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in system.taxonomy.names}
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        pixels = decode_photos(tf.constant([(sample / image).read_bytes() for image in batch]), system.photo_size)
        attention = np.asarray(system(pixels, training=False)["attention"])
        for i, image in enumerate(batch):
            width, height = Image.open(sample / image).size
            for n, name in enumerate(system.taxonomy.names):
                own = np.array(boxes[image, name], float).reshape(-1, 4) / [width, height, width, height]
                hit, chance = point(attention[i, n], own)
                if chance:
                    found[name].append((hit, chance))
    return {name: np.array(rows).reshape(-1, 2) for name, rows in found.items()}


def main() -> None:
    """Prints a table a model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sample", type=Path)
    parser.add_argument("models", nargs="+")
    arguments = parser.parse_args()
    for path in arguments.models:
        system, rows = systems.load(path), []
        for name, games in played(system, arguments.sample).items():
            gain = games[:, 0] - games[:, 1]
            around = 1.96 * gain.std() / len(gain) ** 0.5
            hits, chance = games.mean(axis=0)
            rows.append([name, len(games), f"{hits:.1%}", f"{chance:.1%}", f"{gain.mean():+.1%} ± {around:.1%}"])
        print(f"{system.config.system}, a map of {' x '.join(map(str, system.attended_size))} cells")
        print(tabulate(rows, ("attribute", "photos", "hits", "chance", "difference"), disable_numparse=True), end="\n\n")


if __name__ == "__main__":
    main()
