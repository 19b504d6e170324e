"""What short retrieval vectors cost: MAP of the test split by the whole vectors, by the posteriors alone, and by short forms.

    python -m benchmarks.compressed_vectors INGESTED MODEL.keras [--kappa 1] [--ranks 16,64,256]

INGESTED: the --output of `m3net run`, as far as CatalogueGen. MODEL: a system with class vectors, as a run leaves it beside
its SavedModel. Directions are found from training photos, see `models.compression`; int8 is one scale a vector. Intervals:
95 %, over photos, of the difference to the whole vectors.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from tabulate import tabulate

from benchmarks.when_attention_pays import splits
from models import metrics, systems
from models.compression import PHOTOS, main_directions
from models.intervals import compare


def forms(
    p: np.ndarray, alike: np.ndarray, learned: np.ndarray, kappa: float, ranks: list[int]
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Of one attribute, each form of the vectors: its name, the vectors, bytes a number.

    Args: p: (n, K). alike, learned: (n, K D), of the photos that are ranked and of training photos.
    """
    whole = np.concatenate([p, kappa**0.5 * alike], axis=1)
    yield "whole", whole, 4
    yield "posteriors alone", p, 4
    for rank in ranks:
        short = np.concatenate([p, kappa**0.5 * alike @ main_directions(learned, rank)], axis=1)
        yield f"rank {rank}", short, 4
        yield f"rank {rank}, int8", rounded(short), 1
    random = np.random.default_rng(0).normal(size=(alike.shape[1], ranks[-1])) / ranks[-1] ** 0.5  # right on average
    yield f"{ranks[-1]} random directions", np.concatenate([p, kappa**0.5 * alike @ random.astype(np.float32)], axis=1), 4
    yield "whole, int8", rounded(whole), 1
    for count in (1, 2, 4):
        kept = p >= np.sort(p, axis=1)[:, [-min(count, p.shape[1])]]
        wide = np.repeat(kept, alike.shape[1] // p.shape[1], axis=1)
        yield f"class vectors of the {count} most probable", np.concatenate([p, kappa**0.5 * alike * wide], axis=1), 4


def rounded(vectors: np.ndarray) -> np.ndarray:
    """Each vector in 255 steps of its own size."""
    scale = np.abs(vectors).max(axis=1, keepdims=True) / 127
    return (np.round(vectors / scale) * scale).astype(np.float32)


def main() -> None:
    """Prints a table an attribute."""
    parser = argparse.ArgumentParser()
    parser.add_argument("ingested", type=Path)
    parser.add_argument("model")
    parser.add_argument("--kappa", type=float, default=1.0)
    parser.add_argument("--ranks", default="16,64,256")
    given = parser.parse_args()
    system = systems.load(given.model)
    with tempfile.TemporaryDirectory() as cache:
        taxonomy, parts = splits(given.ingested, system.photo_size, Path(cache))
        train, test = parts["train"], parts["test"]
        p, alike = system.halves(test, np.arange(len(test.ids)))
        _, learned = system.halves(train, np.linspace(0, len(train.ids) - 1, min(PHOTOS, len(train.ids))).astype(int))
    roles = np.asarray(test.roles)
    for place, (name, classes) in enumerate(taxonomy.slices.items()):
        size = classes.stop - classes.start
        wide = size * alike.shape[2] // system.grid.slots
        rows, exact = [], np.zeros(0)
        made = forms(
            p[:, place, :size],
            alike[:, place, :wide],
            learned[:, place, :wide],
            given.kappa,
            [*map(int, given.ranks.split(","))],
        )
        for form, vectors, width in made:
            every = metrics.Rows(test.ids, vectors, test.labels[:, classes].astype(bool))
            queries, candidates = (metrics.labelled(every.take(roles == role)) for role in ("query", "candidate"))
            found = metrics.measure(queries, candidates).average_precision
            exact = exact if len(exact) else found
            lost = compare(exact, found, queries.ids)
            told = f"{100 * lost.difference:+.2f} [{100 * lost.low:+.2f}, {100 * lost.high:+.2f}]"
            rows.append([form, vectors.shape[1], int(vectors.shape[1] * width), f"{100 * found.mean():.2f}", told])
        print(f"{name}: {size} classes, {len(test.ids)} photos, kappa {given.kappa:g}")
        print(tabulate(rows, ("vectors", "numbers", "bytes", "MAP", "to whole"), disable_numparse=True), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
