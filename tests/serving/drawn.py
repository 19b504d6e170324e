"""A drawn release, small enough that NumPy redoes all of it: 4 x 4 PNG photos, a linear model, 30 items."""

import io
import re
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from models.taxonomy import Attribute, Taxonomy
from serving import index, release
from serving.class_vectors import class_vectors, write_class_vectors

ROOT = Path(__file__).parents[2]
ITEMS, LENGTH = 30, 8
TAXONOMY = Taxonomy((Attribute("neckline", ("round", "v_neck", "square")), Attribute("pocket", ("patch", "flap"), True)))


def photo(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_pixels(seed)).save(buffer, "PNG")
    return buffer.getvalue()


def _pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)


@dataclass(frozen=True)
class Drawn:
    """What version `version` of the drawn model and its items are; every version has weights of its own."""

    version: int
    weights: dict[str, np.ndarray] = field(init=False)
    labels: dict[str, list[list[int]]] = field(init=False)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.version)
        weights = {n: random.normal(size=(48, LENGTH)).astype(np.float32) for n in TAXONOMY.names}
        neckline = [[int(random.integers(3))] if i % 5 else [] for i in range(ITEMS)]
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "labels", {"neckline": neckline, "pocket": [[0, 1] if i % 2 else [1] for i in range(ITEMS)]})

    def vectors(self, seeds: list[int], attribute: str) -> np.ndarray:
        pixels = np.stack([_pixels(seed) for seed in seeds]).reshape(len(seeds), -1).astype(np.float32) / 255
        return pixels @ self.weights[attribute]

    def id(self, item: int) -> str:
        return f"v{self.version}-{item}"

    def neighbours(self, seed: int, attribute: str, k: int) -> list[tuple[str, str, float]]:
        """By the definition: every item scored, sorted by score, then by row. Item i is photo i."""
        return self.ranked(self.vectors([seed], attribute)[0], attribute, k)

    def ranked(self, query: np.ndarray, attribute: str, k: int, but: int = -1) -> list[tuple[str, str, float]]:
        """As `neighbours`, of a query's vector; item `but` is left out."""
        scores = self.vectors(list(range(ITEMS)), attribute) @ query
        order = sorted({*range(ITEMS)} - {but}, key=lambda i: (-scores[i], i))[:k]
        names = TAXONOMY[attribute].classes
        return [(self.id(i), "|".join(names[c] for c in self.labels[attribute][i]), float(scores[i])) for i in order]


def save_model(drawn: Drawn, folder: Path) -> None:
    import tensorflow as tf

    stacked = np.stack([drawn.weights[name] for name in TAXONOMY.names])
    names = tf.constant([name.encode() for name in TAXONOMY.names])
    strings = tf.TensorSpec((None,), tf.string)

    class Module(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stacked = tf.Variable(stacked)

        def flat(self, image: tf.Tensor) -> tf.Tensor:
            def one(content: tf.Tensor) -> tf.Tensor:
                return tf.image.resize(tf.io.decode_image(content, 3, expand_animations=False), (4, 4)) / 255.0

            return tf.reshape(tf.map_fn(one, image, fn_output_signature=tf.float32), (-1, 48))

        @tf.function(input_signature=[strings, strings])
        def embed(self, image: tf.Tensor, attribute: tf.Tensor) -> dict[str, tf.Tensor]:
            place = tf.argmax(tf.cast(attribute[:, None] == names[None], tf.int32), axis=1)
            return {"vector": tf.einsum("bi,bij->bj", self.flat(image), tf.gather(self.stacked, place))}

        @tf.function(input_signature=[strings])
        def classify(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
            flat = self.flat(image)
            return {a.name: tf.nn.softmax(flat[:, : len(a.classes)]) for a in TAXONOMY.attributes}

        @tf.function(input_signature=[strings, strings])
        def explain(self, image: tf.Tensor, attribute: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"attention": tf.fill((tf.size(attribute), 2, 2), 0.25)}

    module = Module()
    functions = {name: getattr(module, name) for name in ("embed", "classify", "explain")}
    tf.saved_model.save(module, str(folder), {**functions, "serving_default": module.embed})


def save_items(drawn: Drawn, path: Path, photos: str = "photos") -> None:
    columns = {
        "id": pa.array([drawn.id(i) for i in range(ITEMS)]),
        "image": pa.array([f"{photos}/{i}.png" for i in range(ITEMS)]),
        **{f"label/{name}": pa.array(rows, pa.list_(pa.int32())) for name, rows in drawn.labels.items()},
    }
    pq.write_table(pa.table(columns), path)


def parts_of(version: int, folder: Path) -> Path:
    """What version v's release is made of, in `folder`: `model`, `index`, `items.parquet`."""
    drawn = Drawn(version)
    save_model(drawn, folder / "model")
    for name in TAXONOMY.names:
        vectors = drawn.vectors(list(range(ITEMS)), name)
        index.build(vectors, folder / "index" / name)
        means = class_vectors(vectors, drawn.labels[name], len(TAXONOMY[name].classes))
        write_class_vectors(means, folder / "index" / name)
    save_items(drawn, folder / "items.parquet")
    return folder


def compose(folder: Path, version: int, parts: Path, saved_model: Path | None = None) -> release.Manifest:
    """A release of these parts; `saved_model` takes another model."""
    return release.compose(
        folder,
        version,
        saved_model=saved_model or parts / "model",
        index=parts / "index",
        items=parts / "items.parquet",
        taxonomy=TAXONOMY,
        system="drawn",
        dataset="drawn",
        metrics={"map": 0.5},
        counts={"items": ITEMS},
        warmup_image=photo(0),
    )


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Running:
    """A server in a process of its own, its flags as given; `lines` is what it has said so far."""

    def __init__(self, *arguments: str | Path, port: int = 0) -> None:
        command = [sys.executable, "-m", "serving.serve", *map(str, arguments), "--port", str(port)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        self.lines: list[str] = []
        self._more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            with self._more:
                self.lines.append(line.rstrip())
                self._more.notify_all()

    def said(self, pattern: str, seconds: float = 60.0) -> re.Match[str]:
        """Waits for a line that matches."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(match for line in self.lines if (match := re.search(pattern, line)))
            return bool(found)

        with self._more:
            assert self._more.wait_for(look, seconds), f"never said {pattern!r}; said:\n" + "\n".join(self.lines)
        return found[0]

    def end(self) -> int:
        """SIGTERM. Returns: the exit code."""
        self.process.terminate()
        return self.process.wait(30)
