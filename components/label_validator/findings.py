"""What is odd about a run's labels, in the words of who wrote them: against the schema, between splits, between runs.

TFDV measures; here its anomalies become lines and its thresholds learn what chance alone does to small splits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import tfx  # noqa: F401  (TFDV's import fails unless TFX has put its shim in place)

import tensorflow_data_validation as tfdv  # isort: skip
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

PREFIX = "label/"
_CHANCE = 3.0  # standard errors of a share that two equal populations may differ by, unnoticed


@dataclass(frozen=True)
class Finding:
    """`kind` schema, skew or drift; `text` is one line: how much of what, and since when or against what."""

    kind: str
    split: str
    attribute: str
    text: str


@dataclass(frozen=True)
class Shares:
    """Of one attribute in one split: photos, the share labelled, and each class's share of the labelled."""

    photos: int
    labelled: float
    classes: dict[str, float]


def shares(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> dict[str, Shares]:
    """The labels' shares by attribute."""
    dataset, found = statistics.datasets[0], {}
    for feature in dataset.features:
        name = feature.name or ".".join(feature.path.step)
        common, buckets = feature.string_stats.common_stats, feature.string_stats.rank_histogram.buckets
        total = sum(bucket.sample_count for bucket in buckets) or 1.0
        classes = {bucket.label: bucket.sample_count / total for bucket in buckets}
        found[name.removeprefix(PREFIX)] = Shares(
            int(dataset.num_examples), common.num_non_missing / max(dataset.num_examples, 1), classes
        )
    return found


def against_schema(split: str, anomalies: anomalies_pb2.Anomalies) -> Iterator[Finding]:
    """What ExampleValidator found in one split."""
    for name, info in sorted(anomalies.anomaly_info.items()):
        attribute = name.removeprefix(PREFIX)
        for reason in info.reason:
            yield Finding("schema", split, attribute, f"{split}, {attribute}: {_line(reason.description)}")
    for reason in anomalies.dataset_anomaly_info.reason:
        yield Finding("schema", split, "", f"{split}: {_line(reason.description)}")


def skew(
    split: str,
    train: statistics_pb2.DatasetFeatureStatisticsList,
    other: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    limit: float,
) -> Iterator[Finding]:
    """Classes whose share in `split` is more than `limit`, and more than chance, away from that in train."""
    schema = _with_limits(schema, "skew_comparator", shares(train), shares(other), limit)
    found = tfdv.validate_statistics(train, schema, serving_statistics=other)
    for attribute in _high(found):
        moved = most_moved(shares(train)[attribute], shares(other)[attribute])
        yield Finding("skew", split, attribute, f"{split}, {attribute}: {moved.format('in train', f'in {split}')}")


def drift(
    split: str,
    before: statistics_pb2.DatasetFeatureStatisticsList,
    now: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
    limit: float,
) -> Iterator[Finding]:
    """Classes that came, went, or whose share moved by more than `limit`, and more than chance, since the last run."""
    then, today = shares(before), shares(now)
    schema = _with_limits(schema, "drift_comparator", then, today, limit)
    moved = _high(tfdv.validate_statistics(now, schema, previous_statistics=before))
    for attribute in sorted(then.keys() | today.keys()):
        if attribute not in then or attribute not in today:
            what = "is new" if attribute in today else "is gone"
            yield Finding("drift", split, attribute, f"{split}, {attribute}: the attribute {what} since the last run")
            continue
        old, new = then[attribute], today[attribute]
        for what, names in (("new", new.classes.keys() - old.classes), ("gone", old.classes.keys() - new.classes)):
            if names:
                line = f"{split}, {attribute}: classes {what} since the last run: {', '.join(sorted(names))}"
                yield Finding("drift", split, attribute, line)
        if attribute in moved:
            line = f"{split}, {attribute}: {most_moved(old, new).format('in the last run', 'now')}"
            yield Finding("drift", split, attribute, line)
        if abs(new.labelled - old.labelled) > limit + chance(labelled(old), labelled(new)):
            line = (
                f"{split}, {attribute}: {old.labelled:.1%} of the photos were labelled in the last run, {new.labelled:.1%} now"
            )
            yield Finding("drift", split, attribute, line)


@dataclass(frozen=True)
class Moved:
    """A class's share on two sides."""

    name: str
    then: float
    now: float

    def format(self, first: str, second: str) -> str:
        """In words. Args: first, second: name the sides."""
        return f'"{self.name}" is {self.then:.1%} of the labels {first}, {self.now:.1%} {second}'


def most_moved(old: Shares, new: Shares) -> Moved:
    """The class whose share differs most: TFDV's L-infinity distance."""
    names = old.classes.keys() | new.classes.keys()
    moves = [Moved(name, old.classes.get(name, 0.0), new.classes.get(name, 0.0)) for name in sorted(names)]
    return max(moves, key=lambda move: abs(move.then - move.now))


def labelled(shares: Shares) -> float:
    """Labelled photos, at least 1."""
    return max(shares.photos * shares.labelled, 1.0)


def chance(*counts: float) -> float:
    """How far shares of so many photos may differ by chance alone; a share of one half varies most."""
    return _CHANCE * sqrt(0.25 * sum(1 / count for count in counts))


def _with_limits(
    schema: schema_pb2.Schema, comparator: str, old: dict[str, Shares], new: dict[str, Shares], limit: float
) -> schema_pb2.Schema:
    limited = schema_pb2.Schema()
    limited.CopyFrom(schema)
    for feature in limited.feature:
        attribute = feature.name.removeprefix(PREFIX)
        if attribute in old and attribute in new:
            threshold = min(1.0, limit + chance(labelled(old[attribute]), labelled(new[attribute])))
            getattr(feature, comparator).infinity_norm.threshold = threshold
    return limited


def _high(anomalies: anomalies_pb2.Anomalies) -> set[str]:
    """Attributes whose measured distance is above their threshold."""
    found = set()
    for info in anomalies.drift_skew_info:
        measured = [*info.drift_measurements, *info.skew_measurements]
        if any(one.value > one.threshold for one in measured):
            found.add(".".join(info.path.step).removeprefix(PREFIX))
    return found


def _line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
