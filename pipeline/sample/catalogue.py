"""Draws the sample: photos, `regions.csv` and the `catalogue.csv` that the pipeline reads."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pipeline.sample.camera import develop
from pipeline.sample.classes import CLASSES
from pipeline.sample.folder import CATALOGUE, IMAGES, REGIONS, claim
from pipeline.sample.garment import Garment, deal_garment
from pipeline.sample.photo import Photo, draw_photo
from pipeline.sample.plan import BLOCK, place, unlabelled

COLUMNS = ("image", "split", "role", "group", *CLASSES)
"""Of catalogue.csv: an empty label says not labelled, `|` stands between several classes."""

REGION_COLUMNS = ("image", "attribute", "class", "left", "top", "right", "bottom")
"""Of regions.csv, true also where the catalogue's label is missing.

Whole pixels of the JPEG, right and bottom exclusive. A row a place where the attribute shows: two for the sleeves, one
for each detail.
"""

_MOST = 100_000


def draw_sample(folder: Path, photos: int = 600, seed: int = 0, progress: Callable[[int], None] | None = None) -> Path:
    """Draws a labelled sample catalogue: garments by code, in varied pose, scene, light and noise.

    The same seed gives the same bytes, and photo i and its row are the same for any number of photos.

    Args:
        folder: new, empty, or an earlier sample, which is replaced.
        photos: 20 to 100,000; about 15 ms of a CPU core each.
        seed: at least 0.
        progress: called after each photo with the number drawn so far, if given.

    Returns: the path of catalogue.csv, which is written last: where it lies, the sample is whole.

    Raises: ValueError for photos or seed out of range, FileExistsError for a folder with other files in it,
        NotADirectoryError for a file.
    """
    if not BLOCK <= photos <= _MOST:
        raise ValueError(f"photos must lie in {BLOCK} to {_MOST}, got {photos}; fewer than {BLOCK} don't fill the splits.")
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}.")
    claim(folder, photos, seed)
    rows, regions = [], []
    for index in range(photos):
        image = f"{IMAGES}/{index:05d}.jpg"
        garment = deal_garment(seed, place(seed, index).garment)
        photo = draw_photo(garment, seed, index)
        (folder / image).write_bytes(develop(photo.image, seed, index))
        rows.append(_row(garment, image, seed, index))
        regions.extend(_region_rows(photo, image))
        if progress is not None:
            progress(index + 1)
    _write(folder / REGIONS, REGION_COLUMNS, regions)
    return _write(folder / CATALOGUE, COLUMNS, rows)


def _row(garment: Garment, image: str, seed: int, index: int) -> list[str]:
    """The catalogue's row of a photo."""
    missing = unlabelled(seed, index)
    labels = ["" if attribute in missing else "|".join(garment.classes(attribute)) for attribute in CLASSES]
    _, split, role, group = place(seed, index)
    return [image, split, role, group, *labels]


def _region_rows(photo: Photo, image: str) -> list[list[str]]:
    return [[image, region.attribute, region.name, *map(str, region.box)] for region in photo.regions]


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    """Writes a CSV file beside and renames it, so that no reader sees half of one."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    return partial.replace(path)
