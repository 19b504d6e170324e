"""A run's MAP beside two floors: random ranking, and the nearest neighbour by colour histogram, on the same photos.

    python -m benchmarks.colour_histogram RUN [RUN ...]

RUN is the --output of `m3net run`. The histogram is written as Embeddings and measured by the same evaluator.
"""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from PIL import Image
from tabulate import tabulate

from components.embedder.embed import schema
from components.retrieval_evaluator.measure import COLUMNS, evaluate, read_embeddings
from pipeline.results import read

_BINS = 8  # a channel


def histogram(photo: bytes) -> np.ndarray:
    """The square root of the RGB histogram, float32 (512,), of unit length: its inner product is the Bhattacharyya coefficient."""
    pixels = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"), np.int64).reshape(-1, 3) * _BINS // 256
    counts = np.bincount(pixels @ np.array([_BINS * _BINS, _BINS, 1]), minlength=_BINS**3)
    return np.sqrt(counts / counts.sum()).astype(np.float32)


def histograms(examples: Path) -> dict[str, np.ndarray]:
    """Of every photo of the test split, by id."""
    found = {}
    for record in tf.data.TFRecordDataset([str(path) for path in sorted((examples / "Split-test").iterdir())]):
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        found[feature["image/id"].bytes_list.value[0].decode()] = histogram(feature["image/encoded"].bytes_list.value[0])
    return found


def newest(folder: Path) -> Path:
    """The last execution's output under an artifact's folder."""
    return max(folder.iterdir(), key=lambda path: int(path.name))


def main(runs: list[str]) -> None:
    """Prints one table, a row a run, percent."""
    rows = []
    for run in map(Path, runs):
        artifacts = run / "tfx" / "artifacts"
        by_id = histograms(newest(artifacts / "CatalogueGen" / "examples"))
        table = read_embeddings(newest(artifacts / "Embedder" / "embeddings"), "test", COLUMNS[:5])
        vectors = pa.array([by_id[one].tolist() for one in table["id"].to_pylist()], pa.list_(pa.float32(), _BINS**3))
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "histogram.parquet"
            pq.write_table(table.append_column("vector", vectors).cast(schema(_BINS**3)), file)
            ours = read(run)[0]
            plain = evaluate(file, system="histogram", dataset=ours["dataset"], protocol=ours["protocol"])
        figures = (ours["overall"]["map"], plain["overall"]["map"], ours["overall"]["random_map"])
        rows.append([ours["dataset"], ours["system"], *(f"{100 * value:.2f}" for value in figures)])
    print(tabulate(rows, ("data set", "system", "MAP", "colour histogram", "random"), disable_numparse=True))


if __name__ == "__main__":
    main(sys.argv[1:])
