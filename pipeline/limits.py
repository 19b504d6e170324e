"""Which values a configuration may hold beyond their types: found when it is read, not after an hour of training."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from components.catalogue_gen.readers.reader import FORMATS
from models.backend import BACKENDS
from models.registry import BACKBONES, BY_TRIPLETS, SYSTEMS, unknown
from pipeline import cluster
from pipeline.metadata import KINDS

_NAMES: dict[str, tuple[str, ...]] = {
    "model.system": tuple(SYSTEMS),
    "model.backbone": tuple(BACKBONES),
    "model.local_backbone": tuple(BACKBONES),
    "training.backend": BACKENDS,
    "training.sampling": ("in_batch", "balanced", "documented"),
    "training.schedule": ("one_cycle", "cosine", "step"),
    "training.precision": ("float32", "bfloat16"),
    "training.warm_start": ("none", "last"),
    "validation.on_anomaly": ("warn", "stop"),
    "evaluation.protocol": ("attribute", "pair"),
    "index.splits": ("train", "valid", "test"),
    "data.format": tuple(FORMATS),
    "metadata.kind": KINDS,
    "data.near_duplicates": ("report", "reject", "off"),
}
_BELOW_ONE = {"training.average": "0.999", "training.zoom": "0.2"}
_FRACTIONS = {
    "model.balance",
    "data.max_reject_share",
    "training.warmup",
    "training.centre_decay",
    "training.decay",
    "training.second_stage",
    "validation.max_skew",
    "validation.max_drift",
    "evaluation.min_map",
    "evaluation.max_drop",
    "evaluation.max_attribute_drop",
    "index.recall",
}
_FROM_ONE = {
    "data.long_side",
    "data.shards",
    "model.image_size",
    "model.attention_dim",
    "model.class_dim",
    "training.epochs",
    "training.batch_size",
    "training.views",
    "training.accumulate",
    "training.decay_epochs",
    "tuning.epochs",
}


_RUNNERS = ("DirectRunner", "FlinkRunner", "SparkRunner", "DataflowRunner", "PortableRunner")
_DASK = "loses data without a word: it computes the last collection alone; use DirectRunner or FlinkRunner"


def broken(config: Any) -> Iterator[str]:
    """One line for every value of the configuration that cannot be used: its key, the value, and what it may be."""
    for part in dataclasses.fields(config):
        section = getattr(config, part.name)
        for field in dataclasses.fields(section):
            key, value = f"{part.name}.{field.name}", getattr(section, field.name)
            if reason := _reason(key, value):
                yield f"{key}: {reason}"
    yield from cluster.broken(config.kubeflow)
    yield from _tuning(config.tuning)
    if config.tuning.trials and config.training.warm_start == "last" and len(config.tuning.class_dim) > 1:
        yield (
            "tuning.class_dim: one size alone with training.warm_start=last, for another width cannot begin with the last "
            f"model's weights; set [{config.model.class_dim}], got {list(config.tuning.class_dim)}"
        )
    if config.training.sampling == "documented" and config.model.system not in BY_TRIPLETS:
        yield f"training.sampling: documented gives triplets, which train only {', '.join(BY_TRIPLETS)}"
    if config.model.rank and not config.model.kappa:
        yield "model.rank: shortens what model.kappa adds to a vector, and that is 0; set model.kappa too, such as 1"


def _tuning(tuning: Any) -> Iterator[str]:
    for name in ("learning_rate", "instance_weight", "cluster_weight", "margin"):
        given = getattr(tuning, name)
        if len(given) != 2 or not 0 <= given[0] <= given[1] or not math.isfinite(given[1]):
            yield f"tuning.{name}: [lowest, highest], not negative, such as [0.1, 0.5]; got {list(given)}"
    if tuning.learning_rate[0] <= 0:
        yield f"tuning.learning_rate: above 0; got {tuning.learning_rate[0]:g}"
    if not tuning.class_dim or min(tuning.class_dim) < 1:
        yield f"tuning.class_dim: sizes to choose from, such as [32, 64]; got {list(tuning.class_dim)}"


def _reason(key: str, value: Any) -> str:
    if key == "beam.args":
        return _runner(value)
    if key in _NAMES:
        wrong = [one for one in (value if isinstance(value, tuple) else (value,)) if one not in _NAMES[key]]
        kind = key.split(".")[1].rstrip("s")
        return unknown(kind, wrong[0], _NAMES[key]) if wrong else "" if value else f"name at least one {kind}"
    if not isinstance(value, int | float):
        return ""
    if not math.isfinite(value):
        return f"{value} is not finite"
    if key in _FRACTIONS and not 0 <= value <= 1:
        return f"a fraction in [0, 1], not a percentage; got {value:g}"
    if key == "data.near_duplicate_bits" and value > 32:
        return f"0 to 32, of 128; got {value}"
    if key in _BELOW_ONE and value >= 1:
        return f"below 1, such as {_BELOW_ONE[key]}; got {value:g}"
    if key in _FROM_ONE and value < 1:
        return f"at least 1; got {value:g}"
    return f"not negative; got {value:g}" if value < 0 else ""


def _runner(args: tuple[str, ...]) -> str:
    names = [one.partition("=")[2] for one in args if one.startswith("--runner=")]
    if names and "dask" in names[-1].lower():
        return f"{names[-1]} {_DASK}"
    known = {name.lower() for name in _RUNNERS}
    return unknown("runner", names[-1], _RUNNERS) if names and names[-1].lower() not in known else ""
