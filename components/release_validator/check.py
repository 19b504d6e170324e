"""A release is started by the real server, asked over gRPC, and its answers are held against the Embeddings."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.retrieval_evaluator.measure import attribute_rows, read_embeddings, vectors
from models.taxonomy import Taxonomy
from serving.client import Client, ClientError

# The server ends with whoever started it, also by kill -9: nobody else would stop it. 1: PR_SET_PDEATHSIG; 9: SIGKILL.
_SERVER = (
    "import ctypes, os, runpy, sys; ctypes.CDLL(None).prctl(1, 9); os.getppid() == int(sys.argv.pop(1)) or os._exit(1); "
    "runpy.run_module('serving.serve', run_name='__main__')"
)
_PHOTOS = 4
_NEIGHBOURS = 5
_TOLERANCE = 1e-3  # of the largest of vectors' numbers, or of 1: a batch of another size sums in another order


class MismatchError(ValueError):
    """The server answers otherwise than the Embeddings say; the message says where."""


@contextmanager
def running(releases: Path) -> Iterator[str]:
    """The server over `releases` as a process of its own on a free port of loopback; yields its address.

    Raises: MismatchError if it does not come up.
    """
    with tempfile.TemporaryFile("w+") as errors:
        options = ["--port", "0", "--log-format", "text"]
        command = [sys.executable, "-c", _SERVER, str(os.getpid()), str(releases), *options]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            if " on " not in line:
                errors.seek(0)
                raise MismatchError(f"the server did not come up: {errors.read().strip()[-500:]}")
            yield line.split(" on ")[1].strip()
        finally:
            server.terminate()
            server.wait()


def check(address: str, examples: Path, embeddings: Path, splits: list[str]) -> None:
    """Asks `embed` and `search` for a few photos of the test split under every attribute.

    Raises: MismatchError where a vector or a neighbour's score differs from the Embeddings.
    """
    photos = _photos(examples)
    table = read_embeddings(embeddings)
    rows = attribute_rows(table)
    with Client(address, timeout=60.0) as client:
        for name in Taxonomy.load(examples).names:
            try:
                served = client.embed(list(photos.values()), [name] * len(photos))
                _compare(name, client, photos, served, rows[name], splits)
            except ClientError as error:
                raise MismatchError(f"{name}: {error}") from None


def _compare(
    name: str, client: Client, photos: dict[str, bytes], served: np.ndarray, rows: pa.Table, splits: list[str]
) -> None:
    place = {photo_id: i for i, photo_id in enumerate(rows["id"].to_pylist())}
    stored = vectors(rows)
    gallery = stored[np.asarray(pc.is_in(rows["split"], pa.array(splits)).to_pylist())]
    tolerance = _TOLERANCE * max(1.0, float(np.abs(stored).max()))  # with model.balance a number may be far above 1
    for vector, (photo_id, photo) in zip(served, photos.items(), strict=True):
        if not np.allclose(vector, stored[place[photo_id]], atol=tolerance):
            raise MismatchError(f'{name}: the vector of "{photo_id}" differs from the Embeddings')
        best = np.sort(gallery @ vector)[::-1][:_NEIGHBOURS]
        found = [neighbour.score for neighbour in client.search(photo, name, _NEIGHBOURS)]
        # By score: among equals any neighbour is right. ScaNN may miss one, so the best alone must agree.
        if not np.isclose(found[0], best[0], rtol=_TOLERANCE):
            raise MismatchError(f'{name}: the neighbours of "{photo_id}" differ from the Embeddings')


def _photos(examples: Path) -> dict[str, bytes]:
    """A few stored photos of the test split, by id."""
    import tensorflow as tf

    files = [str(path) for path in sorted((examples / "Split-test").iterdir())]
    found = {}
    for record in tf.data.TFRecordDataset(files).take(_PHOTOS):
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        found[feature["image/id"].bytes_list.value[0].decode()] = feature["image/encoded"].bytes_list.value[0]
    return found
