"""A log that a real server wrote, used: as the next warm-up, and to see whether people ask about other photos."""

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.cli import main
from serving import drift, index, logged, release
from serving.changes import change, changes_file
from serving.class_vectors import class_vectors, write_class_vectors
from serving.client import Client
from serving.policy import ModelConfig, RequestLogging
from serving.protos import prediction_log_pb2, tensor_pb2, types_pb2
from serving.servable import Servable
from serving.server import Server, Settings
from serving.tensors import to_proto
from serving.warm_up import framed, read_records
from tests.serving.drawn import LENGTH, TAXONOMY

ITEMS = 300


def photo(number: int, neckline: int) -> bytes:
    """Photo `number`, of which the drawn model says this neckline: the brightest colour of the first pixel."""
    pixels = np.random.default_rng(number).integers(0, 200, (4, 4, 3), np.uint8)
    pixels[0, 0] = np.where(np.arange(3) == neckline, 255, 0)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory, parts: Callable[[int], Path]) -> Path:
    """The drawn model with 300 items, a third of them of each neckline, and no pocket at all."""
    folder, labels = tmp_path_factory.mktemp("logged"), [[i % 3] for i in range(ITEMS)]
    for one in TAXONOMY.attributes:
        vectors = np.random.default_rng(0).normal(size=(ITEMS, LENGTH)).astype(np.float32)
        index.build(vectors, folder / "index" / one.name)
        of_class = labels if one.name == "neckline" else [[] for _ in labels]
        write_class_vectors(class_vectors(vectors, of_class, len(one.classes)), folder / "index" / one.name)
    columns: dict[str, pa.Array] = {
        "id": pa.array([f"item-{i}" for i in range(ITEMS)]),
        "image": pa.array([f"{i}.png" for i in range(ITEMS)]),
        "label/neckline": pa.array(labels, pa.list_(pa.int32())),
        "label/pocket": pa.array([[] for _ in labels], pa.list_(pa.int32())),
    }
    pq.write_table(pa.table(columns), folder / "items.parquet")

    def compose(into: Path, version: int) -> Any:
        return release.compose(
            into, version, saved_model=parts(1) / "model", index=folder / "index", items=folder / "items.parquet",
            taxonomy=TAXONOMY, system="drawn", dataset="drawn", metrics={}, counts={}, warmup_image=photo(0, 0),
        )  # fmt: skip

    release.push(folder / "releases", compose)
    return folder / "releases"


Log = Callable[[Callable[[Client], object]], list[Path]]


@pytest.fixture(scope="module")
def log(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """The files that a server logs while a client asks it."""

    def written(ask: Callable[[Client], object]) -> list[Path]:
        folder = tmp_path_factory.mktemp("log")
        server = Server(Settings({"m3net": ModelConfig(releases, logging=RequestLogging(str(folder / "requests"), 1.0))}))
        thread = threading.Thread(target=server.run)
        thread.start()
        with Client(server.address) as client:
            assert client.wait_until_ready(30)
            ask(client)
        server.stop()
        thread.join(30)
        return sorted(folder.iterdir())

    return written


def mixed(client: Client) -> None:
    client.search_by_id("item-7", "neckline", 3)
    client.search(photo(1, 0), "pocket", 3)
    client.embed([photo(2, 1), photo(3, 1)], ["neckline", "pocket"])
    client.classify(photo(4, 2))
    client.search_by_class("square", "neckline", 3)
    client.explain(photo(4, 2), "pocket")


def asked(content: bytes) -> list[Any]:
    found = [prediction_log_pb2.PredictionLog.FromString(record).predict_log for record in read_records(content)]
    assert not any(one.HasField("response") for one in found)
    return [one.request for one in found]


def test_a_log_becomes_the_warm_up_of_a_release(
    releases: Path, log: Log, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = log(mixed)
    assert [one.model_spec.signature_name for one in logged.requests(files)][::5] == ["search_by_id", "explain"]
    before = (releases / "1" / release.WARM_UP).read_bytes()
    change(releases / "1", remove=["item-7"])
    assert main(["releases", "warm-up", str(releases), *map(str, files)]) == 0
    out = capsys.readouterr().out
    assert "version 2 is the newest again, with its warm-up from the log" in out
    assert "3 requests of the log are the warm-up; skipped, for the model cannot be asked them: 3\n" in out
    assert changes_file(releases / "2").read_bytes() == changes_file(releases / "1").read_bytes()  # item-7 stays away
    manifest = release.verify(releases / "2")
    assert manifest.copy_of == 1
    # What the SavedModel itself answers, as TF Serving must be able to answer all of it; of no version.
    requests = asked((releases / "2" / release.WARM_UP).read_bytes())
    assert [one.model_spec.signature_name for one in requests] == ["embed", "classify", "explain"]
    assert not any(one.model_spec.WhichOneof("version_choice") for one in requests)
    assert (releases / "1" / release.WARM_UP).read_bytes() == before  # not written through a link
    run: list[str] = []
    monkeypatch.setattr(
        Servable, "predict", lambda self, name, *rest, of=Servable.predict: (run.append(name), of(self, name, *rest))[1]
    )
    Servable(releases / "2").close()
    assert run[:3] == ["embed", "classify", "explain"]


def test_the_newest_of_many(releases: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    files, servable = log(lambda client: [client.classify(photo(i, 0)) for i in range(5)]), Servable(releases / "1")
    monkeypatch.setattr(logged, "_MOST_RECORDS", 3)
    kept = asked(framed(logged.warm_up_of(files, servable)[0]))
    assert [one.inputs["image"].string_val[0] for one in kept] == [photo(i, 0) for i in (2, 3, 4)]
    monkeypatch.setattr(logged, "_MOST_BYTES", 1)
    assert len(logged.warm_up_of(files, servable)[0]) == 1
    servable.close()


def record(signature: str, **inputs: Any) -> bytes:
    """A record of a log; an array, or a TensorProto as it is."""
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    for name, value in inputs.items():
        tensor = to_proto(value) if isinstance(value, np.ndarray) else value
        log.predict_log.request.inputs[name].CopyFrom(tensor)
    return bytes(log.SerializeToString())


GOOD, ATTRIBUTE = np.array([photo(5, 0)], object), np.array([b"pocket"], object)
UNKNOWN = tensor_pb2.TensorProto(dtype=types_pb2.DT_HALF)
UNANSWERABLE = [
    record("classify", image=UNKNOWN),
    record("classify", image=np.zeros((1, 2), np.float32)),
    record("classify", image=np.zeros(1, np.float32)),
    record("classify", image=np.array(photo(5, 0), object)),
    record("classify", image=GOOD[None]),
    record("classify", image=np.array([b"no photo"], object)),
    record("classify", image=np.array([photo(6, 0)[:40]], object)),
    record("embed", image=GOOD, attribute=np.array([b"colour"], object)),
    record("embed", image=GOOD, attribute=np.array([1], np.int32)),
    record("embed", image=GOOD, attribute=np.repeat(ATTRIBUTE, 2)),
    record("embed", image=GOOD),
    record("__saved_model_init_op"),
]


def test_what_the_model_refuses_is_left_out(releases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, file = release.versions(releases), tmp_path / "log"
    file.write_bytes(framed(UNANSWERABLE))
    assert main(["releases", "warm-up", str(releases), str(file)]) == 2
    own = "classify, embed, explain, serving_default"
    why = f"the log holds no request that the model itself answers ({own}); {logged._GIVE}"
    assert capsys.readouterr().err == f"m3net releases: {why}\n"
    assert release.versions(releases) == before
    file.write_bytes(framed([*UNANSWERABLE, record("classify", image=GOOD)]))
    done = logged.warmed(releases, [file])
    assert (done.records, done.skipped) == (1, len(UNANSWERABLE))
    Servable(releases / str(done.version)).close()
    assert table(capsys, releases, [file])[0][:2] == ["neckline", "1"]  # one photo, however it was asked about


def test_a_log_that_a_kill_cut_short_is_read_to_there_and_others_are_refused(
    releases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = prediction_log_pb2.PredictionLog()
    one.predict_log.request.model_spec.name = "m3net"
    content = framed([one.SerializeToString()] * 2)
    (tmp_path / "cut").write_bytes(content[:-3])
    assert len(list(logged.requests([tmp_path / "cut"]))) == 1
    half, no_log = len(content) // 2, f"is no request log; {logged._GIVE}"
    damaged = "record 2 is damaged; leave this file out, or copy it anew"
    for bad, why in (
        (framed([b"\xff\xff"]), no_log),
        (framed([b""]), f"holds other records than requests; {logged._GIVE}"),
        (b"", no_log),
        (np.random.default_rng(0).bytes(99), no_log),
        (content[: half - 1], no_log),
        (content[:-6] + b"~" + content[-5:], damaged),  # its data
        (content[: half + 1] + b"~" + content[half + 2 :], damaged),  # its length, now far beyond the end
    ):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(logged.LogError) as refused:
            list(logged.requests([tmp_path / "bad"]))
        assert str(refused.value) == f"{tmp_path / 'bad'}: {why}"
    for act in ("warm-up", "drift"):
        assert main(["releases", act, str(releases), str(tmp_path / "bad")]) == 2
        assert capsys.readouterr().err == f"m3net releases: {tmp_path / 'bad'}: {damaged}\n"


def table(capsys: pytest.CaptureFixture[str], releases: Path, files: list[Path]) -> list[list[str]]:
    assert main(["releases", "drift", str(releases), *map(str, files)]) == 0
    return [line.split() for line in capsys.readouterr().out.splitlines()[-2:]]


def test_drift_is_found_where_it_is(releases: Path, log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    same = log(lambda client: [client.search(photo(i, i % 3), "neckline", 1) for i in range(90)] * 2)
    neckline, pocket = table(capsys, releases, same)
    assert (neckline[:4], neckline[-1]) == (["neckline", "90", "300", "0.000"], "no")
    assert pocket[2:] == ["0", "nothing", "to", "compare"]
    other = log(lambda client: [client.classify(photo(i, i % 6 == 1)) for i in range(90)])
    neckline, _ = table(capsys, releases, other)
    assert neckline[3] == "0.500"  # half of |5/6 - 1/3| + |1/6 - 1/3| + |0 - 1/3|
    assert " ".join(neckline[5:]) == "round: 33.3% of the items' labels, 83.3% now yes"


@pytest.mark.parametrize(("shares", "first", "second"), [([0.5, 0.5], 40, 400), ([0.2] * 5, 100, 100), ([0.9, 0.1], 30, 5000)])
def test_chance_is_not_drift(shares: list[float], first: int, second: int) -> None:
    """Two samples of one population, four thousand times: past the limit in four of them at most, and near it in some."""
    random = np.random.default_rng(0)
    pairs = random.multinomial(first, shares, 4000) / first, random.multinomial(second, shares, 4000) / second
    distances = np.abs(pairs[0] - pairs[1]).sum(axis=1) / 2
    limit = drift.chance(np.array(shares), first, second)
    assert (distances > limit).sum() <= 4
    assert distances.max() > limit / 3
