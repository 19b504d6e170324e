"""When attention pays: systems beside the plain classifier by the number of photos, the share of labels and the size of regions.

    m3net sample drawn --photos 3000
    m3net run --catalogue drawn/catalogue.csv --output ingested --until CatalogueGen
    python -m benchmarks.when_attention_pays ingested --photos 450,1800 --labels 1,0.3 --seeds 0,1 --regions drawn/regions.csv

Each setting trains every system, by its recipe in quick.yaml, from random weights on the same photos, in whole epochs until
--steps are taken, and ranks the whole split test. The epoch is chosen on the whole split valid, all of its labels kept.
--labels is the share of labels that is kept, drawn a photo and attribute. A difference is of MAP@all in points, of each
query's AP averaged over seeds, with its 95 % interval over photos. With --regions an attribute's median box is told.
"""

import argparse
import csv
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image
from tabulate import tabulate

from models import systems
from models.features import read_photos
from models.intervals import compare
from models.retrieval import average_precisions
from models.sampling import Photos
from models.taxonomy import Taxonomy
from models.training import fit
from pipeline.config import QUICK, Config, load

# By attribute: its queries, and the AP of each, (q,), or with a row a seed (seeds, q).
Precision = dict[str, tuple[Sequence[str], np.ndarray]]


def splits(ingested: Path, size: int, cache: Path) -> tuple[Taxonomy, dict[str, Photos]]:
    """The Examples of a run that went as far as CatalogueGen."""
    examples = max((ingested / "tfx/artifacts/CatalogueGen/examples").iterdir(), key=lambda one: int(one.name))
    taxonomy = Taxonomy.load(examples)
    names = ("train", "valid", "test")
    return taxonomy, {name: read_photos([str(examples / f"Split-{name}/*")], taxonomy, size, cache / name) for name in names}


def thinned(photos: Photos, count: int, share: float, taxonomy: Taxonomy) -> Photos:
    """`count` of the photos (0 = all), each with about `share` of its labels."""
    random = np.random.default_rng(0)
    total = len(photos.ids)
    chosen = np.sort(random.permutation(total)[: count or total])
    labels = photos.labels[chosen]
    for place in taxonomy.slices.values():
        labels[random.random(len(chosen)) >= share, place] = 0
    ids, roles = ([of[i] for i in chosen] for of in (photos.ids, photos.roles))
    return Photos(photos.images, photos.place[chosen], labels, ids, roles)


def precision(config: Config, train: Photos, parts: dict[str, Photos], taxonomy: Taxonomy) -> Precision:
    """Trains a system and ranks the test photos with its weights of the epoch that was best on valid."""
    keras.utils.set_random_seed(config.training.seed)
    system = systems.build(config.model, taxonomy)
    fit(system, train, parts["valid"], config.training)
    return average_precisions(system, parts["test"])


def configured(name: str, seed: str, size: int, steps: int) -> Config:
    """quick.yaml with the system's recipe, in as few epochs as have `steps`."""
    settings = {"model.system": name, "model.image_size": size, "training.seed": seed, "training.min_steps": steps}
    return load(QUICK, [f"{key}={value}" for key, value in {**settings, "training.epochs": 1}.items()])


def together(runs: list[Precision]) -> Precision:
    """A row a seed; overall, that is of all queries of all attributes, stands last."""
    found = {name: (ids, np.stack([run[name][1] for run in runs])) for name, (ids, _) in runs[0].items()}
    ids = [one for images, _ in found.values() for one in images]
    return {**found, "overall": (ids, np.concatenate([values for _, values in found.values()], axis=1))}


def told(values: np.ndarray) -> str:
    """MAP in percent, of several seeds with their standard deviation. Args: (seeds, q)."""
    maps = 100 * values.mean(axis=1)
    return f"{maps.mean():.1f}" + (f" ± {maps.std(ddof=1):.1f}" if len(maps) > 1 else "")


def rows(found: dict[str, Precision], sizes: dict[str, float]) -> Iterator[list[str]]:
    """A row an attribute: its region, each system's MAP, and what each but the first has more."""
    first, *others = found.values()
    for name, (images, values) in first.items():
        region = f"{sizes[name]:.1%}" if name in sizes else ""
        cells = [name, region, str(len(images)), told(values)]
        for other in others:
            one = compare(values.mean(axis=0), other[name][1].mean(axis=0), images)
            between = f"{100 * one.difference:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]"
            cells += [told(other[name][1]), between]
        yield cells


def region_sizes(regions: Path | None) -> dict[str, float]:
    """The median share of a photo's area that an attribute's box takes; nothing without a file."""
    if not regions:
        return {}
    areas = defaultdict(list)
    with regions.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            left, top, right, bottom = (int(row[one]) for one in ("left", "top", "right", "bottom"))
            with Image.open(regions.parent / row["image"]) as photo:
                areas[row["attribute"]].append((right - left) * (bottom - top) / (photo.width * photo.height))
    return {name: float(np.median(found)) for name, found in areas.items()}


def main() -> None:
    """Prints a table a setting, as soon as it is there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("ingested", type=Path)
    parser.add_argument("--systems", default="classifier,m3net+")
    parser.add_argument("--photos", default="0")
    parser.add_argument("--labels", default="1")
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--regions", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        taxonomy, parts = splits(given.ingested, given.size, Path(cache))
        for count in map(int, given.photos.split(",")):
            for share in map(float, given.labels.split(",")):
                train = thinned(parts["train"], count, share, taxonomy)
                found = {}
                for name in given.systems.split(","):
                    configs = [configured(name, seed, given.size, given.steps) for seed in given.seeds.split(",")]
                    found[name] = together([precision(one, train, parts, taxonomy) for one in configs])
                first, *others = found
                head = ["", "region", "queries", first, *(text for name in others for text in (name, "difference"))]
                print(
                    f"{len(train.ids)} photos, {share:.0%} of their labels, {given.steps} steps or little more, seeds {given.seeds}"
                )
                print(tabulate(rows(found, region_sizes(given.regions)), head, disable_numparse=True), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
