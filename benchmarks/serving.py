"""The embedded server beside the SavedModel it serves, asked in a process of its own, on the same photos.

    python -m benchmarks.serving [--backbone small] [--size 96] [--rounds 5] [--seconds 4] [--concurrency 1 8 32]

At each concurrency c, in turns: the SavedModel's `embed` called in a loop with batches of c; the server asked for `embed`
by c clients, one photo a request; the same with every eighth photo broken; the same for `search`. Printed are requests a
second and CPU time a photo (of server and clients together) as shares of the SavedModel's, the median over rounds; of the
broken ones only the photos that were answered count. CPU time is the steadier number on a busy machine. Then requests come
at random, at 70 % of what that concurrency reached: the spread of their latency, of all and a value a round.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from tabulate import tabulate

from components.release_validator.check import running
from models import systems
from models.export import export
from models.recipe import ModelConfig
from models.taxonomy import Attribute, Taxonomy
from serving import index, release
from serving.client import Client, ClientError

TAXONOMY = Taxonomy(tuple(Attribute(f"a{i}", tuple(f"c{j}" for j in range(7))) for i in range(8)))  # as FashionAI: 8, 54
ITEMS = 20_000
BROKEN = 8  # every so many-th photo of the way with broken ones


def photos(count: int) -> list[bytes]:
    """Drawn garments as ingestion stores them."""
    from components.catalogue_gen.photo import normalise
    from pipeline.sample.catalogue import draw_sample

    with tempfile.TemporaryDirectory() as folder:
        draw_sample(Path(folder), count, 0)
        return [normalise(file.read_bytes()) for file in sorted((Path(folder) / "images").iterdir())]


def make_release(folder: Path, backbone: str, size: int, photo: bytes, seed: int = 0) -> Path:
    """An untrained system with an index of random vectors, an exact one for every attribute, as the newest of its folder."""
    made = folder / f"parts-{seed}"
    keras.utils.set_random_seed(seed)
    system = systems.build(ModelConfig(backbone=backbone, image_size=size), TAXONOMY)
    export(system, made / "model")
    embed = tf.saved_model.load(str(made / "model")).signatures["embed"]
    length = embed(image=tf.constant([photo]), attribute=tf.constant(["a0"]))["vector"].shape[1]
    for name in TAXONOMY.names:
        vectors = np.random.default_rng(seed).normal(size=(ITEMS, length)).astype(np.float32)
        index.build(vectors, made / "index" / name)
    labels = {f"label/{name}": pa.array([[0]] * ITEMS, pa.list_(pa.int32())) for name in TAXONOMY.names}
    ids = pa.array([f"{seed}-{i:06}" for i in range(ITEMS)])
    pq.write_table(pa.table({"id": ids, "image": ids, **labels}), made / "items.parquet")
    parts: dict[str, Any] = {"saved_model": made / "model", "index": made / "index", "items": made / "items.parquet"}
    parts |= {"system": "m3net+", "dataset": "drawn", "metrics": {}, "counts": {}}
    release.push(
        folder / "releases",
        lambda into, version: release.compose(into, version, taxonomy=TAXONOMY, warmup_image=photo, **parts),
    )
    return folder / "releases"


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Run:
    """Photos a second and CPU seconds a photo of one variant, a value a round."""

    def __init__(self) -> None:
        self.rate: list[float] = []
        self.cpu: list[float] = []

    def add(self, work: Callable[[float], int], seconds: float, pids: list[int]) -> None:
        """`work(end)` goes on until `time.perf_counter()` is `end` and returns the photos it got through."""
        used, started = sum(map(cpu_seconds, pids)), time.perf_counter()
        done = work(started + seconds)
        self.rate.append(done / (time.perf_counter() - started))
        self.cpu.append((sum(map(cpu_seconds, pids)) - used) / max(1, done))


def in_process(embed: Any, encoded: list[bytes], batch: int, end: float) -> int:
    """The SavedModel in a loop."""
    done = 0
    while time.perf_counter() < end:
        chunk = [encoded[(done + i) % len(encoded)] for i in range(batch)]
        attributes = [TAXONOMY.names[(done + i) % 8] for i in range(batch)]
        embed(image=tf.constant(chunk), attribute=tf.constant(attributes))["vector"].numpy()
        done += batch
    return done


def asked(ask: Callable[[bytes, str], object], encoded: list[bytes], clients: int, end: float) -> int:
    """One photo a request, `clients` at once, each with the next as soon as it has an answer; refused photos do not count."""
    counts = [0] * clients

    def work(me: int) -> None:
        place = me * 31
        while time.perf_counter() < end:
            place += 1
            try:
                ask(encoded[place % len(encoded)], TAXONOMY.names[place % 8])
            except ClientError as error:
                if error.code is not grpc.StatusCode.INVALID_ARGUMENT:
                    raise
            else:
                counts[me] += 1

    threads = [threading.Thread(target=work, args=(me,)) for me in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def latencies(client: Client, encoded: list[bytes], rate: float, seconds: float, seed: int) -> np.ndarray:
    """Seconds of each request; they come at random (Poisson), whether or not the ones before are answered."""
    random = np.random.default_rng(seed)
    found: list[float] = []
    threads: list[threading.Thread] = []

    def one(place: int, due: float) -> None:
        client.embed([encoded[place % len(encoded)]], [TAXONOMY.names[place % 8]])
        found.append(time.perf_counter() - due)  # from when it was due: a late start is waiting, too

    due = time.perf_counter()
    end = due + seconds
    while (due := due + random.exponential(1 / rate)) < end:
        time.sleep(max(0.0, due - time.perf_counter()))
        threads.append(threading.Thread(target=one, args=(len(threads), due)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return np.array(found)


def children(pid: int) -> list[int]:
    """Its child processes: the server, started by `running`."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [int(one) for one in found if "serving.serve" in Path(f"/proc/{one}/cmdline").read_text()]


def main(argv: list[str] | None = None) -> int:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="Embedded server beside the SavedModel in process")
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 8, 32])
    given = parser.parse_args(argv)
    encoded = photos(64)
    broken = [photo[:200] if place % BROKEN == 0 else photo for place, photo in enumerate(encoded)]
    print(f"{given.backbone}, {given.size} pixels; shares of the SavedModel in process, median of {given.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        releases = make_release(Path(folder), given.backbone, given.size, encoded[0])
        model = tf.saved_model.load(str(releases / "1"))
        embed = model.signatures["embed"]
        with running(releases) as address, Client(address, timeout=120) as client:
            (server,) = children(os.getpid())
            for clients in given.concurrency:
                ways: dict[str, Callable[[float], int]] = {
                    "model": partial(in_process, embed, encoded, clients),
                    "embed": partial(asked, lambda photo, name: client.embed([photo], [name]), encoded, clients),
                    "embed, broken photos": partial(asked, lambda p, name: client.embed([p], [name]), broken, clients),
                    "search": partial(asked, lambda photo, name: client.search(photo, name, 10), encoded, clients),
                }
                runs = {name: Run() for name in ways}
                for turn in range(given.rounds + 1):
                    for name, way in ways.items():
                        pids = [os.getpid(), *([server] if name != "model" else [])]
                        (runs[name] if turn else Run()).add(way, given.seconds, pids)  # the first round warms all of them
                rows = [[name, *ratio(runs, name, "model"), *ratio(runs, name, "embed")] for name in ways]
                rate = statistics.median(runs["embed"].rate)
                print(f"\n{clients} clients, embed {rate:.1f} a second\n")
                names = ("", "rate to model", "CPU to model", "rate to embed", "CPU to embed")
                print(tabulate(rows, headers=names, tablefmt="github", floatfmt=".2f"))
                found = [latencies(client, encoded, 0.7 * rate, given.seconds, turn) for turn in range(given.rounds)]
                told = ", ".join(f"{spread(one):.2f}" for one in found)
                whole = np.concatenate(found)
                print(f"\nat 70 %, {len(whole)} requests: p99 / p50 = {spread(whole):.2f}; by round: {told}", flush=True)
    return 0


def spread(seconds: np.ndarray) -> float:
    """p99 / p50."""
    return float(np.divide(*np.quantile(seconds, [0.99, 0.5])))


def ratio(runs: dict[str, Run], name: str, to: str) -> list[float]:
    """Rate and CPU a photo of one variant as shares of another's, each the median over rounds."""
    pairs = ((getattr(runs[name], kind), getattr(runs[to], kind)) for kind in ("rate", "cpu"))
    return [statistics.median(a / b for a, b in zip(ours, other, strict=True)) for ours, other in pairs]


if __name__ == "__main__":
    sys.exit(main())
