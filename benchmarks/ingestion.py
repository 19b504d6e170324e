"""Ingestion beside a bare loop on the same photos; two processes beside one; memory and near-duplicates over the rows.

    python -m benchmarks.ingestion [IMAGES] [--photos 3000] [--side 1200] [--rows 10000 200000] [--hashes ...] [--rounds 3]

IMAGES is a folder of photos; without one they are drawn and stored with a longer side of --side pixels. Bare = read, decode,
resize, encode, keep nothing. All of ours = cutting rows, the same, signatures, near-duplicates, splits, files. A run's start
(imports, Beam's graph) is taken out by timing a tenth of the photos too; two processes are compared by the difference alone.
By CPU = per second of CPU used, times the processes: what a machine with nothing else to do would come to at most.
Every run is a process of its own, in turns; a ratio is the median over rounds. The search for near-duplicates is timed alone,
on drawn signatures: 20 photos of each outline, of other colours, and one photo in 100 stored twice; its peer compares all pairs.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tabulate import tabulate

from pipeline.config import BeamConfig

_TWO = ("--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2")
_MODES = {1: BeamConfig().options(), 2: BeamConfig(_TWO).options()}


def catalogue(folder: Path, images: list[Path], rows: int) -> str:
    """A catalogue of `rows` rows, over `images` again and again."""
    path = folder / f"{rows}.csv"
    with path.open("w") as file:
        file.write("image,id,neck,sleeve\n")
        for i in range(rows):
            file.write(f"{images[i % len(images)]},id{i},{'uvw'[i % 3]},{'short' if i % 2 else 'long'}\n")
    return str(path)


def drawn(folder: Path, count: int, side: int) -> list[Path]:
    """`count` drawn photos with a longer side of `side` pixels, all different."""
    from PIL import Image

    from pipeline.sample.catalogue import draw_sample

    draw_sample(folder, min(count, 300), 0)
    paths = []
    for i, path in enumerate(sorted((folder / "images").iterdir()) * (count // min(count, 300) + 1)):
        photo = Image.open(path).convert("RGB")
        scale = side / max(photo.size)
        turned = photo.rotate(3 * (i // 300), fillcolor="white").resize([round(scale * one) for one in photo.size])
        paths.append(folder / f"{i}.jpg")
        turned.save(paths[-1], quality=88)
        if len(paths) == count:
            break
    return paths


def bare(path: str) -> None:
    """The loop that nobody can leave out."""
    from components.catalogue_gen.photo import normalise

    for line in Path(path).read_text().splitlines()[1:]:
        normalise(Path(line.split(",")[0]).read_bytes())


def ours(path: str, workers: int, labels_only: bool = False) -> None:
    """All of ingestion, into a fresh folder."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.catalogue_gen.ingest import Photos, ingest
    from components.catalogue_gen.shards import Folders

    with tempfile.TemporaryDirectory() as output:
        folders = Folders(f"{output}/examples", f"{output}/labels", f"{output}/staging", workers)
        with beam.Pipeline(options=PipelineOptions(_MODES[workers])) as pipeline:
            ingest(pipeline, path, folders, photos=Photos(labels_only=labels_only))


def timed(what: str, path: str) -> dict[str, float]:
    """Wall and CPU seconds, and the peak of memory in MB, of one run in a process of its own and its children."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.ingestion", "--one", what, path], capture_output=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(what: str, path: str) -> None:
    """What `timed` starts; prints what it measures."""
    import apache_beam  # noqa: F401  (imports are no part of any variant)

    import components.catalogue_gen.ingest  # noqa: F401

    wall, cpu = time.perf_counter(), _cpu()
    {
        "bare": lambda: bare(path),
        "ours": lambda: ours(path, 1),
        "two": lambda: ours(path, 2),
        "labels": lambda: ours(path, 1, labels_only=True),
    }[what]()
    measured = {"wall": time.perf_counter() - wall, "cpu": _cpu() - cpu}
    print(json.dumps({**measured, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def _cpu() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def speed(folder: Path, images: list[Path], rounds: int) -> str:
    """A table: milliseconds a photo beyond the start, and what they are to the bare loop and to one process."""
    paths = [catalogue(folder, images, len(images) // 10), catalogue(folder, images, len(images))]
    found: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": [], "two": []}
    photos = (len(images) - len(images) // 10) / 1000
    for turn in range(rounds):
        for name, list_ in found.items():
            few, all_ = (timed(name, path) for path in paths)
            list_.append(((all_["wall"] - few["wall"]) / photos, (all_["cpu"] - few["cpu"]) / photos))
            print(f"round {turn + 1} {name}: {list_[-1][0]:.2f} ms, CPU {list_[-1][1]:.2f} ms a photo", file=sys.stderr)

    def ratio(name: str, to: str, which: int, times: int = 1) -> str:
        return f"{times * statistics.median(a[which] / b[which] for a, b in zip(found[to], found[name], strict=True)):.2f}"

    rows = [
        [label, *(f"{statistics.median(one[i] for one in found[name]):.2f}" for i in (0, 1)), *ratios]
        for name, label, ratios in (
            ("bare", "bare loop", ["1", "1", "", ""]),
            ("ours", "ingestion, one process", [ratio("ours", "bare", 0), ratio("ours", "bare", 1), "1", "1"]),
            ("two", "ingestion, two processes", ["", "", ratio("two", "ours", 0), ratio("two", "ours", 1, 2)]),
        )
    ]
    head = ["", "ms a photo", "CPU ms a photo", "speed to bare", "by CPU", "speed to one process", "by CPU"]
    return tabulate(rows, head, disable_numparse=True, colalign=("left", *["right"] * 6))


def memory(folder: Path, images: list[Path], counts: list[int]) -> str:
    """A table: the peak of one process over the number of rows, with small photos repeated and without any."""
    from PIL import Image

    small = []
    for i, path in enumerate(images[:200]):
        small.append(folder / f"small{i}.jpg")
        Image.open(path).convert("RGB").resize((48, 64)).save(small[-1])
    rows = []
    for what, label in (("labels", "labels only"), ("ours", "200 photos of 48x64, repeated")):
        peaks = [timed(what, catalogue(folder, small, count))["mb"] for count in counts]
        rows.append([label, *(f"{peak:.0f}" for peak in peaks), f"{peaks[-1] / peaks[0]:.2f}"])
    head = ["peak MB", *(f"{count:,} rows" for count in counts), "last to first"]
    return tabulate(rows, head, disable_numparse=True, colalign=("left", *["right"] * (len(counts) + 1)))


def signatures(count: int) -> Any:
    """`PHOTO`s as a shop has them: few outlines on white, each in many colours; every hundredth stored again."""
    import numpy as np

    from components.catalogue_gen.near_duplicates import PHOTO

    random = np.random.default_rng(0)
    outline = np.arange(count) // 20
    bits = (random.random((outline[-1] + 1, 128)) < 0.3)[outline] ^ (random.random((count, 128)) < 0.03)
    colours = random.integers(0, 256, (count, 64, 3), np.uint8)
    colours[:, ::2] = 255  # the ground
    bits[99::100] = bits[98::100] ^ (random.random((count // 100, 128)) < 0.01)
    colours[99::100] = colours[98::100] ^ random.integers(0, 4, (count // 100, 64, 3), np.uint8)
    photos = np.zeros(count, PHOTO)
    photos["place"] = photos["key"] = np.arange(count)
    photos["signature"]["bits"] = np.packbits(bits, axis=1).view("<u8")
    photos["signature"]["colours"] = colours.reshape(count, -1)
    return photos


def by_bands(photos: Any) -> int:
    """Pairs found as ingestion finds them."""
    from components.catalogue_gen.near_duplicates import by_band, near_pairs

    return sum(len(pairs) for (band, _), part in by_band(photos, 6) for pairs in near_pairs(part, band, 6))


def by_all(photos: Any) -> int:
    """Pairs found by comparing each photo with all after it."""
    import numpy as np

    from components.catalogue_gen.near_duplicates import alike

    words, colours, found = np.ascontiguousarray(photos["signature"]["bits"]), photos["signature"]["colours"], 0
    for i in range(len(photos) - 1):
        near = i + 1 + np.flatnonzero(np.bitwise_count(words[i] ^ words[i + 1 :]).sum(1) <= 6)
        found += int(alike(colours[[i] * len(near)], colours[near]).sum())
    return found


def near_duplicates(counts: list[int]) -> str:
    """A table: CPU seconds of the search over the number of photos."""
    rows = []
    for count in counts:
        photos = signatures(count)
        start = time.process_time()
        pairs = by_bands(photos)
        spent = time.process_time() - start
        rows.append([f"{count:,}", f"{pairs:,}", f"{spent:.2f}", f"{1e6 * spent / count:.0f}"])
        if count == counts[0]:
            start = time.process_time()
            assert by_all(photos) == pairs
            rows[-1].append(f"{(time.process_time() - start) / spent:.0f}")
    head = ["photos", "pairs found", "CPU s", "microseconds a photo", "speed to comparing all"]
    return tabulate(rows, head, disable_numparse=True, colalign=("right",) * 5)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="?", type=Path)
    parser.add_argument("--photos", type=int, default=3000)
    parser.add_argument("--side", type=int, default=1200)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 200_000])
    parser.add_argument("--hashes", type=int, nargs="*", default=[10_000, 50_000, 200_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("WHAT", "CATALOGUE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(*given.one)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        images = sorted(given.images.iterdir())[: given.photos] if given.images else drawn(folder, given.photos, given.side)
        print(f"{len(images)} photos, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
        if given.hashes:
            print(f"{near_duplicates(given.hashes)}\n", flush=True)
        print(f"{speed(folder, [path.resolve() for path in images], given.rounds)}\n", flush=True)
        if given.rows:
            print(memory(folder, images, given.rows))


if __name__ == "__main__":
    main()
