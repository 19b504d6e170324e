"""The client against the real server, and alone: without TensorFlow, and beside it in either order of imports."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.client import Client, ClientError, Neighbour

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def test_search(client: Client, photo: Callable[[int], bytes], drawn: Any) -> None:
    expected = [
        Neighbour(i, classes, pytest.approx(score, rel=1e-5), f"photos/{i.split('-')[1]}.png")
        for i, classes, score in drawn(1).neighbours(40, "neckline", 12)
    ]
    assert client.search(photo(40), "neckline", 12) == expected
    assert "" in {one.classes for one in expected}  # an unlabelled item among them


def test_embed_and_classify(client: Client, photo: Callable[[int], bytes], drawn: Any) -> None:
    vectors = client.embed([photo(1), photo(2)], ["neckline", "pocket"])
    expected = [drawn(1).vectors([1], "neckline")[0], drawn(1).vectors([2], "pocket")[0]]
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)
    assert {name: scores.shape for name, scores in client.classify(photo(1)).items()} == {
        "neckline": (3,),
        "pocket": (2,),
    }


def test_errors_are_one_line(client: Client, address: str, photo: Callable[[int], bytes]) -> None:
    with pytest.raises(ClientError) as caught:
        client.search(photo(1), "colour")
    assert str(caught.value) == (
        f'{address} answered INVALID_ARGUMENT: unknown attribute "colour"; there are: neckline, pocket'
    )
    with Client(address, model_name="x") as other:
        assert not other.ready()
        with pytest.raises(ClientError, match=r"NOT_FOUND: Servable not found for request: Latest\(x\)"):
            other.classify(photo(1))


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never says a word
        port = silent.getsockname()[1]
        with Client(f"127.0.0.1:{port}", timeout=0.5) as client:
            assert not client.ready()
            with pytest.raises(ClientError, match=r"did not answer within 0.5 seconds|no server answers"):
                client.classify(b"")


def _python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_no_tensorflow_is_imported_and_a_later_import_works() -> None:
    _python("""
import sys
import serving.client
heavy = {"tensorflow", "tensorflow.python", "scann", "pyarrow", "keras", "tfx"} & set(sys.modules)
assert not heavy, heavy
import tensorflow as tf
assert int(tf.constant(2) + 3) == 5
from tensorflow.core.framework import tensor_pb2
from serving.tensors import from_proto, to_proto
assert isinstance(tf.make_tensor_proto([1.0]), tensor_pb2.TensorProto)
assert from_proto(tf.make_tensor_proto([1.0, 2.0])).tolist() == [1, 2]
assert tf.make_ndarray(to_proto(from_proto(tf.make_tensor_proto([4])))).tolist() == [4]
""")


def test_after_tensorflow() -> None:
    import tensorflow as tf  # other tests have it imported already; alone, this is where it happens

    from serving import protos

    assert type(tf.make_tensor_proto([1.0])) is protos.tensor_pb2.TensorProto
