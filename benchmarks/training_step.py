"""The full training step of each system beside the plain classifier's at the same batch, and the feed beside the step.

    python -m benchmarks.training_step [--systems m3net,m3net+] [--batch 64] [--backbone small] [--size 96] [--rounds 7]

Photos are drawn noise: what is in them costs nothing. A step = forward, losses, gradients and update, as `fit` compiles it,
on a batch that is there already. The feed = photos from disk, augmented, as batches, without a step. All take turns within
a round, warm; a ratio is the median over rounds.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import ops
from tabulate import tabulate

from models import systems
from models.class_sampling import batches
from models.optimizer import optimizer
from models.recipe import ModelConfig, TrainingConfig
from models.sampling import Photos
from models.taxonomy import Attribute, Taxonomy

TAXONOMY = Taxonomy(tuple(Attribute(f"a{i}", tuple(f"c{j}" for j in range(7))) for i in range(8)))  # as FashionAI: 8, 54
STEPS = 4  # timed together


def noise(folder: Path, count: int, size: int) -> Photos:
    """Photos in a file of bytes, each with a class of every attribute."""
    random = np.random.default_rng(0)
    images = np.memmap(folder / "photos", np.uint8, "w+", shape=(count, size, size, 3))
    images[:] = random.integers(0, 256, images.shape, np.uint8)
    labels = np.eye(7, dtype=np.uint8)[random.integers(0, 7, (count, 8))].reshape(count, 56)
    text = [str(i) for i in range(count)]
    return Photos(images, np.arange(count), labels, text, text)


def steps(name: str, photos: Photos, model: ModelConfig, recipe: TrainingConfig) -> Callable[[], None]:
    """`STEPS` training steps of a system, compiled."""
    system = systems.build(replace(model, system=name), TAXONOMY)
    feed = batches(photos, TAXONOMY, recipe, system.value_negatives)
    system.prepare(recipe, photos.labels)
    system.enter(system.stages)
    jit = False if keras.backend.backend() == "tensorflow" else "auto"
    system.compile(optimizer=optimizer(recipe, system.rates(), 10, 1000), jit_compile=jit)
    given, told = feed[0]

    def run() -> None:
        for _ in range(STEPS):
            system.train_on_batch(given, told)
        ops.convert_to_numpy(system.trainable_variables[0])  # waits for the device

    return run


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--systems", default="m3net,m3net+,modc,asen_v2")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    model = ModelConfig(backbone=arguments.backbone, image_size=arguments.size)
    recipe = TrainingConfig(batch_size=arguments.batch)
    with tempfile.TemporaryDirectory() as folder:
        photos = noise(Path(folder), STEPS * arguments.batch, arguments.size)
        feed = batches(photos, TAXONOMY, recipe)
        names = ["classifier", *arguments.systems.split(",")]
        runs = {f"step of {name}": steps(name, photos, model, recipe) for name in names}
        runs["feed alone"] = lambda: [feed[i] for i in range(STEPS)]  # type: ignore[assignment]
        rounds = [{name: timed(run) for name, run in runs.items()} for _ in range(arguments.rounds + 1)][
            1:
        ]  # the first warms up
    rows = []
    for name in runs:
        rate = STEPS * arguments.batch / np.median([found[name] for found in rounds])
        ratio = np.median([found[name] / found["step of classifier"] for found in rounds])
        rows.append([name, f"{rate:.0f}", f"{ratio:.3f}"])
    print(
        f"{keras.backend.backend()}, {arguments.backbone} at {arguments.size} px, batch {arguments.batch}, {arguments.rounds} rounds"
    )
    print(tabulate(rows, ("", "photos/s, median", "time / classifier's step"), disable_numparse=True))


def timed(run: Callable[[], None]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
