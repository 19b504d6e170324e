"""The sample's folder: taken only if it is empty or holds an earlier sample."""

import json
from pathlib import Path

CATALOGUE = "catalogue.csv"
REGIONS = "regions.csv"
IMAGES = "images"
_MARK = "sample.json"
_MAKER = "m3net sample"


def claim(folder: Path, photos: int, seed: int) -> None:
    """Makes the folder ready for a sample: creates it, or removes the earlier sample's files, and leaves its mark.

    Raises: FileExistsError for a folder with anybody else's files, NotADirectoryError for a file.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; name a folder for the sample, new or empty.")
    if folder.exists() and any(folder.iterdir()) and not _is_sample(folder):
        raise FileExistsError(f"{folder} is not empty and holds no drawn sample; name a new folder, or empty this one.")
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    # The mark first and the catalogue last: cut short, the folder is known as ours and not taken for a whole sample.
    (folder / CATALOGUE).unlink(missing_ok=True)
    (folder / REGIONS).unlink(missing_ok=True)
    mark = {"made_by": _MAKER, "photos": photos, "seed": seed}
    (folder / _MARK).write_text(json.dumps(mark, indent=2) + "\n", encoding="utf-8")
    # By name, not the whole folder: what its owner has put beside our photos stays.
    for photo in (folder / IMAGES).glob("[0-9]" * 5 + ".jpg"):
        photo.unlink()


def _is_sample(folder: Path) -> bool:
    try:
        mark = json.loads((folder / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(mark, dict) and mark.get("made_by") == _MAKER
