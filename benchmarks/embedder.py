"""The embedder beside the bare model on the same photos, from bytes and from pixels: how much the way around it costs.

    python -m benchmarks.embedder [IMAGES] [--photos 2048] [--rounds 7] [--backbone small] [--size 96]

IMAGES is a folder of photos; without one they are drawn. Bare = `predict_on_batch` of the untrained system in a loop, and
Keras's own `predict` over tf.data. Ours = all that a worker does with its chunks: reading Examples, parsing, (decoding,) the
model, scoring, rows, Parquet. All variants take turns within a round, warm; a ratio is the median over rounds.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from tabulate import tabulate

from components.catalogue_gen.photo import normalise
from components.embedder.chunks import chunks, examples_files
from components.embedder.embed import EmbedChunk
from components.embedder.forward import BATCH
from models import systems
from models.features import decode_photo, decode_photos, feature_spec
from models.recipe import ModelConfig
from models.taxonomy import Attribute, Taxonomy

TAXONOMY = Taxonomy(tuple(Attribute(f"a{i}", tuple(f"c{j}" for j in range(7))) for i in range(8)))  # as FashionAI: 8, 54


def photos(folder: Path | None, count: int) -> list[bytes]:
    """`count` photos as ingestion stores them, repeated where there are fewer."""
    with tempfile.TemporaryDirectory() as drawn:
        if folder is None:
            from pipeline.sample.catalogue import draw_sample

            draw_sample(Path(drawn), min(count, 400), 0)
            folder = Path(drawn) / "images"
        found = [normalise(file.read_bytes()) for file in sorted(folder.iterdir())[:count]]
    return [found[i % len(found)] for i in range(count)]


def write(examples: Path, encoded: list[bytes]) -> None:
    """One file of Examples, split test, two labels a photo."""
    (examples / "Split-test").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(examples / "Split-test" / "data")) as file:
        for i, photo in enumerate(encoded):
            texts = {"image/encoded": photo, "image/id": b"%06d" % i, "role": b"candidate"}
            feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text])) for key, text in texts.items()}
            for name in TAXONOMY.names[:2]:
                feature[f"label/{name}"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[i % 7]))
            file.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def ours(worker: EmbedChunk, examples: Path, output: Path) -> Callable[[], None]:
    """All chunks through one worker, into a fresh folder each time."""

    def run() -> None:
        with tempfile.TemporaryDirectory(dir=output) as folder:
            worker.output = folder
            for file in examples_files(str(examples), ["test"]):
                for chunk in chunks(file):
                    list(worker.process(chunk))

    return run


def from_pixels(worker: EmbedChunk, pixels: np.ndarray) -> None:
    """Lets the worker find its photos decoded already: it still reads and parses their Examples."""
    spec, at = feature_spec(TAXONOMY), 0
    parse = tf.function(lambda data: tf.io.parse_example(data, spec), input_signature=[tf.TensorSpec((None,), tf.string)])

    def ready(serialised: list[bytes]) -> tuple[dict[str, Any], tf.Tensor]:
        nonlocal at
        start, at = at, (at + len(serialised)) % len(pixels)
        return parse(serialised), tf.constant(pixels[start : start + len(serialised)])

    worker.prepare = ready


def variants(folder: Path, encoded: list[bytes], config: ModelConfig) -> dict[str, Callable[[], Any]]:
    """What is timed, by name; each goes through all photos once."""
    system = systems.build(config, TAXONOMY)
    systems.save(system, folder / "model.keras")
    if keras.backend.backend() == "tensorflow":
        system.jit_compile = False  # as ours: the faster of the two on a CPU
    size = config.image_size
    decode = tf.function(lambda data: decode_photos(data, size), input_signature=[tf.TensorSpec((None,), tf.string)])
    batches = [encoded[i : i + BATCH] for i in range(0, len(encoded), BATCH)]
    pixels = np.concatenate([decode(batch).numpy() for batch in batches])
    dataset = tf.data.Dataset.from_tensor_slices(encoded).map(lambda data: decode_photo(data, size), tf.data.AUTOTUNE)
    dataset = dataset.batch(BATCH).prefetch(2)
    write(folder / "examples", encoded)
    workers = [EmbedChunk(str(folder / "model.keras"), "") for _ in range(2)]
    for worker in workers:
        worker.setup()
    from_pixels(workers[1], pixels)

    def bare(images: Iterator[np.ndarray]) -> None:
        for batch in images:
            system.predict_on_batch(batch)

    return {
        "pixels: bare": lambda: bare(pixels[i : i + BATCH] for i in range(0, len(pixels), BATCH)),
        "pixels: ours": ours(workers[1], folder / "examples", folder),
        "bytes: bare": lambda: bare(decode(batch).numpy() for batch in batches),
        "bytes: bare, tf.data": lambda: system.predict(dataset, verbose=0),
        "bytes: ours": ours(workers[0], folder / "examples", folder),
    }


def timed(run: Callable[[], Any]) -> float:
    """Seconds."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def main() -> None:
    """Prints one table: photos a second, and ours over bare."""
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path, nargs="?")
    parser.add_argument("--photos", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--size", type=int, default=96)
    arguments = parser.parse_args()
    encoded = photos(arguments.images, arguments.photos)
    with tempfile.TemporaryDirectory() as folder:
        runs = variants(Path(folder), encoded, ModelConfig(backbone=arguments.backbone, image_size=arguments.size))
        rounds = [{name: timed(run) for name, run in runs.items()} for _ in range(arguments.rounds + 1)][
            1:
        ]  # the first warms up
    rows = []
    for name in runs:
        seconds = [found[name] for found in rounds]
        own = name.split(":")[0] + ": ours"
        ratio = np.median([found[name] / found[own] for found in rounds])
        rows.append([name, f"{len(encoded) / np.median(seconds):.0f}", f"{len(encoded) / min(seconds):.0f}", f"{ratio:.3f}"])
    print(
        f"{keras.backend.backend()}, {arguments.backbone} at {arguments.size} px, {len(encoded)} photos, {arguments.rounds} rounds"
    )
    print(tabulate(rows, ("", "photos/s, median", "best", "ours / this"), disable_numparse=True))


if __name__ == "__main__":
    main()
