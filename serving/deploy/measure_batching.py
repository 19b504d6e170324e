"""Writes a batching file from a curve measured on this machine: `python -m serving.deploy.measure_batching RELEASES/1`.

The file is for our server and for tensorflow/serving. Run it where the server will run, with nothing else running.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)  # far enough for the curve to be flat before its end
_ENOUGH = 0.95  # of the best rate: beyond it a larger batch gains latency and nothing else


def rates(run: Callable[[int], object], rounds: int) -> dict[int, float]:
    """Rows a second of `run(rows)` by batch size: the median over rounds, sizes in turns, so that a noisy moment hits all."""
    for size in _SIZES:
        run(size)
    seconds: dict[int, list[float]] = {size: [] for size in _SIZES}
    for _ in range(rounds):
        for size in _SIZES:
            started = time.perf_counter()
            run(size)
            seconds[size].append(time.perf_counter() - started)
    return {size: size / statistics.median(times) for size, times in seconds.items()}


def chosen(curve: Mapping[int, float]) -> int:
    """The smallest batch that reaches 95 % of the best rate."""
    return min(size for size, rate in curve.items() if rate >= _ENOUGH * max(curve.values()))


def text(curve: Mapping[int, float], cores: int) -> str:
    """BatchingParameters in text form, the curve as a comment."""
    best, size = max(curve.values()), chosen(curve)
    lines = [f"# Measured on {cores} cores by serving.deploy.measure_batching: photos a second, as shares of the best"]
    lines += [f"#   batch {one:>3}: {rate / best:.2f}" for one, rate in curve.items()]
    lines += [
        f"max_batch_size {{ value: {size} }}",
        "batch_timeout_micros { value: 0 }  # no fixed wait: while one batch runs, the next gathers by itself",
        "max_enqueued_batches { value: 4 }  # more are refused at once instead of waiting in vain",
        "num_batch_threads { value: 1 }  # one batch at a time has all cores",
        *(f"allowed_batch_sizes: {one}" for one in _SIZES if one <= size),
    ]
    return "\n".join(lines) + "\n"


def _photo(records: bytes) -> bytes:
    """Of the first request of a warm-up file."""
    from serving.protos import prediction_log_pb2
    from serving.tensors import from_proto
    from serving.warm_up import read_records

    log = prediction_log_pb2.PredictionLog.FromString(next(read_records(records)))
    return bytes(from_proto(log.predict_log.request.inputs["image"])[0])


def main() -> int:
    """Prints the file. Returns: the exit code."""
    parser = argparse.ArgumentParser(prog="measure_batching", description=__doc__)
    parser.add_argument("release", type=Path, help="one version's folder")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    from serving.batcher import Batching
    from serving.release import WARM_UP, ReleaseError
    from serving.servable import Servable

    try:
        servable = Servable(arguments.release, Batching(max_batch_size=_SIZES[-1]))
    except (ReleaseError, OSError) as error:
        print(f"measure_batching: {error}", file=sys.stderr)
        return 2
    photo, attribute = _photo((arguments.release / WARM_UP).read_bytes()), servable.taxonomy.names[0].encode()

    def run(rows: int) -> object:
        inputs = {"image": np.array([photo] * rows, object), "attribute": np.array([attribute] * rows, object)}
        return servable.predict("embed", inputs)

    curve = rates(run, arguments.rounds)
    servable.close()
    print(text(curve, os.cpu_count() or 1), end="")
    if chosen(curve) == _SIZES[-1]:
        told = f"the largest size tried, {_SIZES[-1]}, was still the fastest by more than {1 - _ENOUGH:.0%}"
        print(f"measure_batching: {told}: a busy machine, or one that wants more; measure again", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
