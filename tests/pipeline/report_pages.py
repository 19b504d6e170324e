"""Contents of a report made by hand, every text of which may be hostile."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.report.attributes import AttributePart, Seen, attribute_part
from pipeline.report.calibration import calibrate
from pipeline.report.comparison import compare
from pipeline.report.contents import Contents
from pipeline.report.near_duplicates import NearDuplicates, Pair
from pipeline.report.photos import Picture, heat
from pipeline.report.ranking import Ranked
from pipeline.report.rejects import Kind
from pipeline.report.run_folder import RunFolder, Step

DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def results(dataset: str, attributes: list[str], **more: Any) -> dict[str, Any]:
    values = {"map": 0.5, "map_at_100": 0.6, "recall_at_100": 0.7, "random_map": 0.2, "queries": 4, "candidates": 12, **more}
    return {
        "format": 1, "dataset": dataset, "protocol": "attribute", "system": "m3net+", "split": "test",
        "attributes": dict.fromkeys(attributes, values), "overall": {**values, "map": 0.4321},
    }  # fmt: skip


def ranked(seed: int, text: str) -> Ranked:
    random = np.random.default_rng(seed)
    candidates = tuple((f"candidate {i} {text}", (i % 3,)) for i in range(12))
    queries = tuple((f"query {i} {text}", (i % 3,)) for i in range(4))
    nearest = np.stack([random.permutation(12)[:10] for _ in queries])
    return Ranked(queries, candidates, nearest, np.ones((4, 10)), random.random(4), np.full(4, 4), 4)


def contents(text: str = "", dataset: str = "sample", attributes: int = 3, other: str = "", **more: Any) -> Contents:
    """`text` is put into every class, attribute, id, reason and name; `more` into the results' values."""
    names = [f"attribute {i} {text}" for i in range(attributes)]
    classes = [f"class {i} {text}" for i in range(3)]
    systems = {"m3net+": {n: ranked(i, text) for i, n in enumerate(names)}}
    if other:
        systems[other] = {n: ranked(9 + i, text) for i, n in enumerate(names)}
    parts = [part(name, {s: found[name] for s, found in systems.items()}, classes) for name in names]
    photos = {photo for one in parts for photo in one.photos()}
    here = Path("/runs") / (text or "one")
    run = RunFolder(
        {**results(dataset, names, **more)}, {"blessed": True, "reason": f"because {text}"}, here, here, here, here, here,
        (Step(f"Trainer {text}", 75.0, False), Step("Embedder", 25.0, True)),
        ({"kind": "drift", "split": "train", "attribute": names[0], "text": f'train: "{text}" is 7.6% of the labels, 53.3% now'},),
    )  # fmt: skip
    return Contents(
        run=run, system=f"m3net+ {text}", other=f"{other} {text}" if other else "",
        compared=compare(*systems.values()) if other else [], parts=parts, left_out=0,
        thumbnails={photo: Picture(DOT, 3, 4) for photo in photos if "candidate 3 " not in photo},
        history=[{"epoch": i, "loss": 3.0 / i, "l_m": 2.0 / i, "valid_map": i / 9, "images_per_second": 50} for i in (1, 2, 3)],
        counts={"train": 1234, "test": 56, "rejected": 2}, rejects=[Kind(2, f"c.csv {text}", 7, f"reason {text}")],
        near_duplicates=NearDuplicates(5, 1, (Pair((f"query 0 {text}", f"lost {text}"), ("test", "train"), 4),)),
    )  # fmt: skip


def part(name: str, systems: dict[str, Ranked], classes: list[str]) -> AttributePart:
    made = attribute_part(name, systems, classes, count=2)
    seen = tuple(Seen(g.query.photo, g.query.classes, heat(np.eye(3))) for g in made.drawn)
    right = np.array([True, False])
    return AttributePart(
        name, made.drawn, made.hardest, made.ranked, made.confusions, calibrate(np.array([0.3, 0.9]), right), seen
    )
