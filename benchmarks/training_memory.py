"""The peak memory of `fit` against the size of the catalogue, each size in a fresh process.

    python -m benchmarks.training_memory [--photos 2000,40000] [--system m3net] [--batch 64] [--backbone small] [--size 96]

Photos lie in a file as long as they would be, black and so without blocks on the disk; labels are drawn. Every size takes the
steps of the smallest one's epoch, without validation. Counted is what the process alone holds, the kernel's RssAnon: mapped
pages of photos belong to the page cache, which gives them up when memory is short.
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from tabulate import tabulate

from benchmarks.training_step import TAXONOMY
from models import systems
from models.recipe import ModelConfig, TrainingConfig
from models.sampling import Photos
from models.systems import System
from models.training import fit

SAMPLED = 0.01  # seconds between two looks


def blank(folder: Path, count: int, size: int) -> Photos:
    """Black photos in a sparse file, each with a class of every attribute."""
    images = np.memmap(folder / "photos", np.uint8, "w+", shape=(count, size, size, 3))
    labels = np.eye(7, dtype=np.uint8)[np.random.default_rng(0).integers(0, 7, (count, 8))].reshape(count, 56)
    text = [str(i) for i in range(count)]
    return Photos(images, np.arange(count), labels, text, text)


def held() -> int:
    """Bytes of this process that no file stands behind."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(found.split()[1]) * 1024


class Watch(threading.Thread):
    """Looks at the memory until `done`, and ends the epoch after `steps` steps: `fit` knows whole epochs alone."""

    def __init__(self, system: System, steps: int) -> None:
        super().__init__(daemon=True)
        self.system, self.steps = system, steps
        self.done = threading.Event()
        self.peak = 0

    def run(self) -> None:
        """See the class."""
        while not self.done.wait(SAMPLED):
            self.peak = max(self.peak, held())
            optimizer = getattr(self.system, "optimizer", None)
            if optimizer and int(optimizer.iterations) >= self.steps:
                self.system.stop_training = True


def trained(count: int, steps: int, model: ModelConfig, recipe: TrainingConfig) -> tuple[int, int, int]:
    """Bytes before `fit` and at its peak, and steps taken."""
    with tempfile.TemporaryDirectory() as folder:
        photos = blank(Path(folder), count, model.image_size)
        system = systems.build(model, TAXONOMY)
        before, watch = held(), Watch(system, steps)
        watch.start()
        fit(system, photos, None, recipe)
        watch.done.set()
        watch.join()
    return before, watch.peak, int(system.optimizer.iterations)


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", default="2000,40000")
    parser.add_argument("--system", default="m3net")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--size", type=int, default=96)
    arguments = parser.parse_args()
    counts = [int(count) for count in arguments.photos.split(",")]
    model = ModelConfig(system=arguments.system, backbone=arguments.backbone, image_size=arguments.size)
    recipe = TrainingConfig(batch_size=arguments.batch, epochs=1)
    rows = []
    for count in counts:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
            steps = min(counts) // arguments.batch
            before, peak, taken = fresh.submit(trained, count, steps, model, recipe).result()
        photos = count * arguments.size**2 * 3
        rows.append([f"{count:,}", *(f"{size / 1e6:.0f}" for size in (photos, before, peak)), f"{taken}"])
    print(
        f"{keras.backend.backend()}, {arguments.system}, {arguments.backbone} at {arguments.size} px, batch {arguments.batch}"
    )
    print(tabulate(rows, ("photos", "of them, MB", "before fit, MB", "peak, MB", "steps"), disable_numparse=True))


if __name__ == "__main__":
    main()
