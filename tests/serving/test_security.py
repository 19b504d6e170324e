"""TLS both ways, tokens, and what a hostile client may send, against a server in a process of its own."""

import asyncio
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from pipeline.cli import main
from serving import release
from serving.aio import AsyncClient
from serving.client import Client, ClientError, Tls
from tests.serving import drawn
from tests.serving.pem import Authority, Pair
from tests.serving.test_photos import bomb, encoded
from tests.serving.web_release import large


@dataclass(frozen=True)
class Guarded:
    address: str
    rest: str
    ca: bytes
    client: Pair
    stranger: Pair
    token: str = "s3cret"

    def tls(self, pair: Pair) -> Tls:
        return Tls(self.ca, pair.key, pair.certificate)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, compose_into: Any) -> Iterator[Guarded]:
    """A server that asks for a certificate and for a token."""
    folder, authority, port = tmp_path_factory.mktemp("guarded"), Authority("ours"), drawn.free_port()
    release.push(folder / "releases", compose_into)
    own = authority.issue("server")
    texts = {"server_key": own.key, "server_cert": own.certificate, "custom_ca": authority.certificate}
    config = "".join(f"{name}: {json.dumps(text.decode())}\n" for name, text in texts.items())
    (folder / "ssl.txt").write_text(f"{config}client_verify: true\n")
    (folder / "token").write_text("s3cret\n")
    flags = ("--ssl_config_file", folder / "ssl.txt", "--token-file", folder / "token", "--rest_api_port", str(port))
    running = drawn.Running(folder / "releases", *flags)
    try:
        address = running.said(r"^serving m3net version 1 on (\S+)$").group(1)
        running.said(rf"REST: https://127.0.0.1:{port}/v1/models$")
        yield Guarded(address, f"127.0.0.1:{port}", authority.certificate, authority.issue("me"), Authority("x").issue("x"))
    finally:
        running.end()
        assert not any("Traceback" in line for line in running.lines)


def test_with_certificate_and_token(guarded: Guarded, photo: Callable[[int], bytes]) -> None:
    with Client(guarded.address, tls=guarded.tls(guarded.client), token=guarded.token) as client:
        assert client.ready()
        assert client.versions() == {1: "AVAILABLE"}
        assert set(client.classify(photo(1))) == {"neckline", "pocket"}


@pytest.mark.parametrize("token", ["", "wrong", "s3cretx"])
def test_without_the_token(guarded: Guarded, photo: Callable[[int], bytes], token: str) -> None:
    with Client(guarded.address, tls=guarded.tls(guarded.client), token=token) as client:
        assert client.ready()  # health is asked by those who know nothing
        with pytest.raises(ClientError, match="UNAUTHENTICATED: a bearer token is needed"):
            client.classify(photo(1))
        with pytest.raises(ClientError, match="UNAUTHENTICATED"):
            client.versions()
    credentials = guarded.tls(guarded.client).credentials()
    with grpc.secure_channel(guarded.address, credentials) as channel, pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
        ProtoReflectionDescriptorDatabase(channel).get_services()


def test_without_the_right_certificate(guarded: Guarded, photo: Callable[[int], bytes]) -> None:
    for tls in (
        None,
        Tls(guarded.ca),
        guarded.tls(guarded.stranger),
        Tls(None, guarded.client.key, guarded.client.certificate),
    ):
        with Client(guarded.address, timeout=5, tls=tls, token=guarded.token) as client:
            assert not client.ready()
            with pytest.raises(ClientError, match=r"no server answers|did not answer") as caught:
                client.classify(photo(1))
            assert (tls is not None and tls.ca is None) == ("give the PEM of who signed its certificate" in str(caught.value))


def test_the_command_shows_its_certificate(guarded: Guarded, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair, files = guarded.client, {}
    for name, text in (("ca", guarded.ca), ("cert", pair.certificate), ("key", pair.key), ("token-file", b"s3cret\n")):
        (tmp_path / name).write_bytes(text)
        files[name] = [f"--{name}", str(tmp_path / name)]
    (tmp_path / "photo.png").write_bytes(large(1))
    ask = ["query", str(tmp_path / "photo.png"), "--attribute", "pocket", "-k", "3", "--server", guarded.address]
    assert main([*ask, *(one for flag in files.values() for one in flag)]) == 0
    assert "v1-" in capsys.readouterr().out
    assert main([*ask, *files["ca"], *files["token-file"]]) == 2
    assert "no server answers" in capsys.readouterr().err
    assert main([*ask, *files["ca"], *files["cert"]]) == 2
    assert capsys.readouterr().err == "m3net query: --cert and --key belong together; give both or neither\n"


def test_async(guarded: Guarded, photo: Callable[[int], bytes], drawn: Any) -> None:
    async def ask() -> None:
        async with AsyncClient(guarded.address, tls=guarded.tls(guarded.client), token=guarded.token) as client:
            assert await client.ready()
            assert await client.versions() == {1: "AVAILABLE"}
            several = await asyncio.gather(*(client.search(photo(number), "pocket", 4) for number in range(40, 45)))
            for number, found in zip(range(40, 45), several, strict=True):
                assert [one.id for one in found] == [i for i, _, _ in drawn(1).neighbours(number, "pocket", 4)]
            np.testing.assert_allclose(
                await client.embed([photo(7)], ["pocket"]), drawn(1).vectors([7], "pocket"), rtol=1e-5, atol=1e-5
            )
            assert {n: s.shape for n, s in (await client.classify(photo(1))).items()} == {"neckline": (3,), "pocket": (2,)}
            assert (await client.explain(photo(1), "pocket")).tolist() == [[0.25, 0.25], [0.25, 0.25]]
            with pytest.raises(ClientError, match='unknown attribute "colour"'):
                await client.search(photo(1), "colour")
        async with AsyncClient(guarded.address, timeout=5) as client:
            assert not await client.ready()

    asyncio.run(ask())


def rest(guarded: Guarded, pair: Pair | None, token: str, tmp_path: Path) -> int:
    context = ssl.create_default_context(cadata=guarded.ca.decode())
    if pair:
        (tmp_path / "pair.pem").write_bytes(pair.key + pair.certificate)
        context.load_cert_chain(tmp_path / "pair.pem")
    request = urllib.request.Request(f"https://{guarded.rest}/v1/models/m3net", headers={"Authorization": f"Bearer {token}"})
    try:
        return int(urllib.request.urlopen(request, timeout=10, context=context).status)
    except urllib.error.HTTPError as error:
        return error.code


def test_rest_is_guarded_as_grpc_is(guarded: Guarded, tmp_path: Path) -> None:
    assert rest(guarded, guarded.client, "s3cret", tmp_path) == 200
    assert rest(guarded, guarded.client, "wrong", tmp_path) == 401
    for pair in (None, guarded.stranger):
        with pytest.raises(OSError, match=r"(?i)ssl|reset|certificate"):
            rest(guarded, pair, "s3cret", tmp_path)
    with pytest.raises(OSError, match=r"(?i)remote end|reset|Remote"):
        urllib.request.urlopen(f"http://{guarded.rest}/v1/models/m3net", timeout=10)


@pytest.fixture(scope="module")
def raw(address: str) -> Iterator[Callable[[bytes], bytes]]:
    """Bytes to Predict, whatever they are."""
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        yield lambda content: bytes(method(content, timeout=20))


def code_of(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code(), caught.value.details()


def test_bytes_that_are_no_message(raw: Callable[[bytes], bytes]) -> None:
    random = np.random.default_rng(0)
    for length in (1, 7, 100, 5000):
        for _ in range(10):
            code, _ = code_of(lambda length=length: raw(random.bytes(length)))
            assert code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT)


def test_a_message_above_the_limit(raw: Callable[[bytes], bytes]) -> None:
    assert code_of(lambda: raw(b"\0" * (33 << 20)))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def request(**inputs: list[bytes]) -> predict_pb2.PredictRequest:
    from serving.tensors import to_proto

    made = predict_pb2.PredictRequest()
    made.model_spec.name = "m3net"
    for name, values in inputs.items():
        made.inputs[name].CopyFrom(to_proto(np.array(values, object)))
    return made


@pytest.fixture(scope="module")
def predict(address: str) -> Iterator[Any]:
    """Predict, as the generated stub has it."""
    with grpc.insecure_channel(address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict


def animated() -> bytes:
    """A GIF of seven frames of four million pixels each."""
    frames = [Image.fromarray(np.full((2000, 2000), number, np.uint8)) for number in range(7)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


BOMBS: dict[str, tuple[Callable[[], bytes], int]] = {
    "PNG": (lambda: bomb(60_000, 60_000), 3_600_000_000),
    "WebP": (lambda: encoded(Image.new("RGB", (8000, 8000)), "WEBP", lossless=True), 64_000_000),
    "JPEG": (lambda: encoded(Image.new("L", (6000, 5000)), "JPEG").replace(b"\xff\xdb", b"junk\xff\xdb", 1), 30_000_000),
    "GIF": (animated, 28_000_000),
}


@pytest.mark.parametrize(("made", "size"), BOMBS.values(), ids=BOMBS)
def test_bombs(predict: Any, photo: Callable[[int], bytes], made: Callable[[], bytes], size: int) -> None:
    words = f"a photo of {size:,} pixels is not decoded; at most 25,000,000: send it smaller"
    asked = request(image=[photo(1), made()], attribute=[b"pocket"] * 2)
    assert code_of(lambda: predict(asked)) == (grpc.StatusCode.INVALID_ARGUMENT, words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\3\4" + b"\0" * 26, "^Unknown image file format. One of JPEG, PNG, "),
        (b"RIFF\0\0\0\0WEBPALPH" + b"\0" * 20, "^a photo that begins as WebP does not tell its size; "),
    ],
)
def test_what_is_no_photo(predict: Any, photo: Callable[[int], bytes], content: bytes, words: str) -> None:
    code, details = code_of(lambda: predict(request(image=[photo(1), content], attribute=[b"pocket"] * 2)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert re.search(words, details)
    assert "\n" not in details


def test_a_message_that_unpacks_to_more_than_the_limit(address: str, photo: Callable[[int], bytes]) -> None:
    with grpc.insecure_channel(address, [("grpc.max_send_message_length", -1)]) as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        asked = request(image=[photo(1) + bytes(100 << 20)], attribute=[b"pocket"])
        code, _ = code_of(lambda: predict(asked, compression=grpc.Compression.Gzip, timeout=60))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        asked = request(image=[photo(1) + bytes(1 << 20)], attribute=[b"pocket"])  # a small one is taken
        assert predict(asked, compression=grpc.Compression.Gzip, timeout=60).outputs["vector"].tensor_shape.dim[0].size == 1


def test_rows_are_limited_and_many_run_in_parts(predict: Any, photo: Callable[[int], bytes]) -> None:
    code, words = code_of(lambda: predict(request(image=[photo(1)] * 1025, attribute=[b"pocket"] * 1025)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "1,025 rows is too large; send at most 1,024 at once" in words
    answer = predict(request(image=[photo(1)] * 100, attribute=[b"pocket"] * 100))  # more than one run takes
    assert answer.outputs["vector"].tensor_shape.dim[0].size == 100


def test_mistakes_in_flags_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from serving.serve import main

    (tmp_path / "empty").write_text("")
    (tmp_path / "ssl").write_text('server_key: "x" server_cert: "y"')
    for flags, words in (
        ([], "give the folder that holds the releases, or --model-config-file"),
        ([str(tmp_path), "--batching_parameters_file", str(tmp_path / "none")], "No such file"),
        ([str(tmp_path), "--token-file", str(tmp_path / "empty")], "holds no token"),
        ([str(tmp_path), "--model-config-file", str(tmp_path / "empty")], "Only ModelConfigList"),
        ([str(tmp_path), "--ssl-config-file", str(tmp_path / "ssl"), "--rest-api-port", "1"], "not usable PEM"),
    ):
        assert main([*flags, "--port", "0"]) == 2, flags
        error = capsys.readouterr().err
        assert re.fullmatch(rf"m3net serve: .*{re.escape(words)}.*\n", error), error
