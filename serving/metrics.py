"""Counters for Prometheus under TF Serving's names, so that its dashboards and alerts go on working."""

import bisect
import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

_LATENCY = tuple(10 * 1.8**power for power in range(33))  # microseconds: TF Serving's own buckets, up to 20 minutes
_ROWS = tuple(float(2**power) for power in range(11))

Labels = tuple[str, ...]


class _Histogram:
    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def add(self, value: float) -> None:
        self.counts[bisect.bisect_left(self.bounds, value)] += 1
        self.sum += value


class Metrics:
    """Safe from any thread. `models` tells the models served: a name that a client made up is never kept as a label.

    `gauges`, a metric's name to a function, are asked when the page is read; each gives a value a model.
    """

    def __init__(self, models: Callable[[], Iterable[str]], gauges: Mapping[str, Callable[[], Mapping[str, float]]]) -> None:
        self._models, self._gauges = models, gauges
        self._lock = threading.Lock()
        self._requests: dict[Labels, int] = defaultdict(int)
        self._latency: dict[Labels, _Histogram] = defaultdict(lambda: _Histogram(_LATENCY))
        self._runtime: dict[Labels, _Histogram] = defaultdict(lambda: _Histogram(_LATENCY))
        self._rows: dict[Labels, _Histogram] = defaultdict(lambda: _Histogram(_ROWS))

    def request(self, model: str, api: str, entrypoint: str, status: str, seconds: float) -> None:
        """One request answered; only those that went well count into the latency, as in the real server."""
        known = model if model in set(self._models()) else ""
        with self._lock:
            self._requests[known, status] += 1
            if status == "OK":
                self._latency[known, api, entrypoint].add(seconds * 1e6)

    def batch(self, model: str, signature: str, rows: int, seconds: float) -> None:
        """One run of the model."""
        with self._lock:
            self._runtime[model, signature, "TF2"].add(seconds * 1e6)
            self._rows[model, signature].add(rows)

    def page(self) -> str:
        """Everything, in Prometheus' text format."""
        lines: list[str] = []
        with self._lock:
            lines += _counter(":tensorflow:serving:request_count", ("model_name", "status"), self._requests)
            names = ("model_name", "API", "entrypoint")
            lines += _histogram(":tensorflow:serving:request_latency", names, self._latency)
            lines += _histogram(":tensorflow:serving:runtime_latency", ("model_name", "API", "runtime"), self._runtime)
            lines += _histogram(":m3net:batch_rows", ("model_name", "signature"), self._rows)
        for name, ask in self._gauges.items():
            lines.append(f"# TYPE {name} gauge")
            lines += [f"{name}{_labels(('model_name',), (model,))} {value:g}" for model, value in ask().items()]
        return "\n".join(lines) + "\n"


def _counter(name: str, names: Labels, values: Mapping[Labels, int]) -> list[str]:
    return [f"# TYPE {name} counter", *(f"{name}{_labels(names, labels)} {count}" for labels, count in values.items())]


def _histogram(name: str, names: Labels, values: Mapping[Labels, _Histogram]) -> list[str]:
    lines = [f"# TYPE {name} histogram"]
    for labels, histogram in values.items():
        totals = itertools.accumulate(histogram.counts)
        for bound, total in zip((*(f"{bound:g}" for bound in histogram.bounds), "+Inf"), totals, strict=True):
            lines.append(f"{name}_bucket{_labels((*names, 'le'), (*labels, bound))} {total}")
        lines.append(f"{name}_sum{_labels(names, labels)} {histogram.sum:g}")
        lines.append(f"{name}_count{_labels(names, labels)} {sum(histogram.counts)}")
    return lines


def _labels(names: Labels, values: Labels) -> str:
    escaped = (value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n") for value in values)
    return "{" + ",".join(f'{name}="{value}"' for name, value in zip(names, escaped, strict=True)) + "}"
