"""`m3net plan`: how long a catalogue would take, and what it would cost, from the rates that a finished run measured.

Nothing here is a rate of ours: a machine is known by a run on it. What no run can tell (a GPU that is not there) is the
user's assumption, and the table says so.
"""

import csv
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tabulate import tabulate

from components.errors import InputError
from models.metrics import Rows, measure
from pipeline.lineage import Lineage
from pipeline.report.run_folder import read

_QUERIES, _CANDIDATES = 300, 20_000  # ranked to time it: about a second
_FORWARD = 3.0  # a forward pass beside a training step: about a third of its work


@dataclass(frozen=True)
class Size:
    """A data set: photos in all and to train on, and for evaluation the sum over attributes of queries times candidates."""

    name: str
    photos: int
    train: int
    pairs: float


# The ASEN family's public lists. Of DARN and DeepFashion those of training are not public: 8 times the test list's photos,
# as in FashionAI's. Pairs: queries and candidates of the test lists, spread evenly over their attributes.
SIZES = (
    Size("FashionAI", 180_335, 144_335, 3_600 * 14_400 / 8),
    Size("DARN", 10 * 21_460, 8 * 21_460, 4_293 * 17_168 / 9),
    Size("DeepFashion", 10 * 27_625, 8 * 27_625, 5_525 * 22_100 / 5),
)


@dataclass(frozen=True)
class Rates:
    """What a run measured: photos a second, and `fixed` seconds whatever the size. `pairs` ranked a second: timed here and now,
    for of a small evaluation nearly all is its start."""

    ingest: float
    train: float
    embed: float
    index: float
    pairs: float
    fixed: float
    epochs: int
    attributes: int
    run: str


def rates_of(folder: Path) -> Rates:
    """The rates of the run in `folder`. Raises: InputError where there is none that came as far as a release's check."""
    found, seconds = read(folder), _seconds(folder)
    if missing := [name for name in ("CatalogueGen", "Embedder", "IndexBuilder") if name not in seconds]:
        raise InputError(f"{folder}: no {missing[0]} ended there; a plan needs a whole run to measure by")
    with found.history.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    photos = sum(1 for _ in _ids(found.examples))
    scaled = ("CatalogueGen", "Trainer", "Embedder", "IndexBuilder", "RetrievalEvaluator")
    return Rates(
        ingest=photos / seconds["CatalogueGen"],
        train=sum(float(row["images_per_second"]) for row in rows) / len(rows),
        embed=photos / seconds["Embedder"],
        index=photos / max(seconds["IndexBuilder"], 1e-3),
        pairs=pairs_per_second(),
        fixed=sum(value for name, value in seconds.items() if name not in scaled),
        epochs=len(rows),
        attributes=len(found.results["attributes"]),
        run=str(folder),
    )


def pairs_per_second() -> float:
    """Of the evaluator's own ranking, in this process: drawn vectors of 64 numbers, 300 queries against 20,000 candidates."""
    random = np.random.default_rng(0)

    def rows(count: int) -> Rows:
        labels = np.eye(8, dtype=bool)[random.integers(0, 8, count)]
        return Rows([f"{count}-{i}" for i in range(count)], random.standard_normal((count, 64), np.float32), labels)

    queries, candidates = rows(_QUERIES), rows(_CANDIDATES)
    started = time.perf_counter()
    measure(queries, candidates)
    return _QUERIES * _CANDIDATES / (time.perf_counter() - started)


def _seconds(folder: Path) -> dict[str, float]:
    lineage = Lineage(folder)
    last = lineage.last("RetrievalEvaluator")
    return {step.name: max(step.seconds, 1e-3) for step in lineage.steps(last.id)} if last else {}


def _ids(examples: Path) -> list[str]:
    from pyarrow import dataset

    return list(dataset.dataset(examples / "items").to_table(["id"])["id"].to_pylist())


def hours(size: Size, rates: Rates, epochs: int, images_per_second: float = 0.0) -> dict[str, float]:
    """Hours of every step, and their sum as "all". `images_per_second`, above 0, is of a training that no run measured."""
    embed = images_per_second * _FORWARD if images_per_second else rates.embed
    found = {
        "ingest": size.photos / rates.ingest,
        "train": size.train * epochs / (images_per_second or rates.train),
        "embed": size.photos / embed,
        "evaluate": size.pairs / rates.pairs,
        "index": size.photos / rates.index,
        "fixed": rates.fixed,
    }
    found = {name: value / 3600 for name, value in found.items()}
    return {**found, "all": sum(found.values())}


def drawn(photos: int, attributes: int) -> Size:
    """A catalogue of that many photos, split as ours are: 65/10/25, and 1 query to 4 candidates, each labelled throughout."""
    test = photos / 4
    return Size(f"{photos:,} photos", photos, round(0.65 * photos), attributes * (test / 5) * (test * 4 / 5))


def text(folder: Path, photos: int, epochs: int, images_per_second: float, price: float) -> str:
    """The table, and what it takes for granted. `epochs` 0 = as many as the run had; `price` of an hour, any currency."""
    if min(photos - 1, epochs, images_per_second, price) < 0:
        raise InputError("--photos is at least 1; --epochs, --images-per-second and --price-per-hour are not negative")
    rates = rates_of(folder)
    epochs = epochs or rates.epochs
    sizes = [*SIZES, drawn(photos, rates.attributes)]
    rows = []
    for size in sizes:
        found = hours(size, rates, epochs, images_per_second)
        cost = [f"{price * found['all']:,.2f}"] if price else []
        rows.append([size.name, f"{size.photos:,}", *(f"{found[name]:,.2f}" for name in found), *cost])
    heads = ["hours", "photos", "ingest", "train", "embed", "evaluate", "index", "fixed", "all", *(["cost"] if price else [])]
    table = tabulate(rows, heads, tablefmt="simple", disable_numparse=True, colalign=("left", *["right"] * (len(heads) - 1)))
    return "\n".join([table, "", *assumptions(rates, epochs, images_per_second, price)])


def assumptions(rates: Rates, epochs: int, images_per_second: float, price: float) -> list[str]:
    """A sentence each."""
    step = (
        f"training {images_per_second:,.0f} photos/s: your assumption, measured by nobody here; embedding {_FORWARD:.0f} times as fast"
        if images_per_second
        else f"training {rates.train:,.1f} and embedding {rates.embed:,.1f} photos/s, as measured"
    )
    return [
        f"measured by {rates.run}, its backbone and image size, on the machine it ran on:",
        f"* ingestion {rates.ingest:,.1f}, index {rates.index:,.0f} photos/s, evaluation {rates.pairs:,.0f} pairs/s (timed now, here); {step}",
        f"* {epochs} epochs of the split train; every step grows in proportion, evaluation with queries times candidates",
        "* the start of each step is in its rate: measure by some thousand photos, or large ones look slower than they are",
        "* one machine, one run after another; past 20,000 items ScaNN is built, which costs more than what was measured",
        "* FashionAI, DARN, DeepFashion: the ASEN lists, of the latter two the split train as 8 times the test list; another "
        "catalogue 65/10/25, 1 query to 4 candidates, every attribute labelled everywhere",
        *([f"* {price:g} an hour for all of it, also where a GPU would wait; no storage, no traffic"] if price else []),
    ]
