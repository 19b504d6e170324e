"""Embedding: the contract's rows, each photo once, and a run that is killed and started again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from components.embedder.chunks import Chunk, ExamplesFile, chunks, examples_files, records
from components.embedder.embed import ahead, embed, schema
from components.embedder.staging import finished, publish, staging
from models import systems
from models.recipe import ModelConfig
from models.taxonomy import Attribute, Taxonomy
from tests.components.direct import ONE, TWO

TAXONOMY = Taxonomy((Attribute("neck", ("v", "crew")), Attribute("sleeve", ("none", "short", "long"), multi_label=True)))
SIZE = 32


def serialised(name: str, photo: np.ndarray, role: str, labels: dict[str, list[int]]) -> bytes:
    text = {"image/id": name.encode(), "image/group": name.encode(), "role": role.encode()}
    text["image/encoded"] = tf.io.encode_png(photo).numpy()
    feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in text.items()}
    for attribute, classes in labels.items():
        feature[f"label/{attribute}"] = tf.train.Feature(int64_list=tf.train.Int64List(value=classes))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


class Sample:
    """Examples of random photos in a folder, `shards` files a split, and an untrained system; what was written is kept."""

    def __init__(self, folder: Path, counts: dict[str, int], shards: int = 1) -> None:
        random = np.random.default_rng(0)
        self.examples, self.model = str(folder / "examples"), str(folder / "model" / "model.keras")
        self.photos: dict[str, np.ndarray] = {}
        self.rows: dict[tuple[str, str], tuple[str, str, list[int]]] = {}  # (id, attribute) to split, role, labels
        for split, count in counts.items():
            for shard in range(shards):
                path = folder / "examples" / f"Split-{split}" / f"data-{shard:05}"
                path.parent.mkdir(parents=True, exist_ok=True)
                with tf.io.TFRecordWriter(str(path)) as file:
                    for i in range(count):
                        file.write(self._photo(f"{split} {shard} {i}", split, random))
        system = systems.build(ModelConfig(image_size=SIZE, attention_dim=8, class_dim=4), TAXONOMY)
        Path(self.model).parent.mkdir()
        systems.save(system, Path(self.model))

    def _photo(self, name: str, split: str, random: np.random.Generator) -> bytes:
        self.photos[name] = random.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
        role = "" if split == "train" else str(random.choice(["query", "candidate"]))
        labels = {"neck": [int(random.integers(2))], "sleeve": np.flatnonzero(random.random(3) < 0.4).tolist()}
        for attribute, classes in labels.items():
            self.rows[name, attribute] = (split, role, classes)
        return serialised(name, self.photos[name], role, labels)

    def embed(self, output: Path, photos: int = 1024, arguments: list[str] = ONE) -> list[Path]:
        with beam.Pipeline(argv=arguments) as pipeline:
            embed(pipeline, self.examples, ["train", "test"], self.model, str(output), photos)
        return sorted(output.iterdir())


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("sample"), {"train": 70, "test": 13}, shards=2)


def test_rows_are_those_of_the_contract_and_vectors_the_models(sample: Sample, tmp_path: Path) -> None:
    files = sample.embed(tmp_path / "out", photos=32)
    # 70 photos in chunks of 32: 32, 32, 6; 13 in one.
    assert [file.name for file in files if "train-00000" in file.name] == [f"train-00000-00000{i}.parquet" for i in range(3)]
    assert len(files) == 2 * (3 + 1)
    found = [row for file in files for row in pq.read_table(file).to_pylist()]
    got = {(row["id"], row["attribute"]): (row["split"], row["role"], row["labels"]) for row in found}
    assert len(found) == len(got)
    assert got == sample.rows
    assert {pq.read_schema(file) for file in files} == {schema(len(found[0]["vector"]))}
    system = systems.load(sample.model)
    for row in found[::23]:  # one by one and eagerly: neither the batch nor its padding nor the compiler changes a vector
        outputs = system(sample.photos[row["id"]][None].astype(np.float32), training=False)
        expected = np.asarray(system.vectors(outputs))[0, TAXONOMY.names.index(row["attribute"])]
        np.testing.assert_allclose(row["vector"], expected, atol=1e-5)


@pytest.mark.long
def test_several_processes_write_the_same_files(sample: Sample, tmp_path: Path) -> None:
    one = sample.embed(tmp_path / "one", photos=32)
    two = sample.embed(tmp_path / "two", 32, TWO)
    assert [file.name for file in one] == [file.name for file in two]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(matrix(a), matrix(b), atol=1e-5)
        assert pq.read_table(a).drop_columns("vector") == pq.read_table(b).drop_columns("vector")


def matrix(file: Path) -> np.ndarray:
    return np.array(pq.read_table(file)["vector"].to_pylist())


def test_a_finished_file_stays_and_one_cut_short_is_made_again(sample: Sample, tmp_path: Path) -> None:
    files = sample.embed(tmp_path / "out", photos=32)
    before = {file.name: (file.stat().st_ino, pq.read_table(file)) for file in files}
    files[1].write_bytes(files[1].read_bytes()[:-9])
    pq.write_table(before[files[2].name][1][:-1], files[2])  # whole as a Parquet file, but a row less
    files[3].unlink()
    again = sample.embed(tmp_path / "out", photos=32)
    assert [file.name for file in again] == list(before)
    kept = [file for file in again if file.stat().st_ino == before[file.name][0] and file not in files[1:4]]
    assert len(kept) == len(files) - 3
    assert all(pq.read_table(file) == before[file.name][1] for file in again)


KILLED = """
import sys
from tests.components.test_embedder import execute
execute(*sys.argv[1:])
"""


def execute(examples: str, model: str, output: str) -> None:
    """The component's executor as TFX calls it, on artifacts of these folders."""
    from tfx.types import standard_artifacts

    from components.artifacts import Embeddings
    from components.embedder.executor import Executor

    artifacts = {"examples": standard_artifacts.Examples(), "model": standard_artifacts.Model(), "embeddings": Embeddings()}
    for key, uri in (("examples", examples), ("model", str(Path(model).parent)), ("embeddings", output)):
        artifacts[key].uri = uri
    Executor().Do({key: [artifacts[key]] for key in ("examples", "model")}, {"embeddings": [artifacts["embeddings"]]}, {})


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_no_finished_file_is_embedded_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.trainer import MODEL_FILE  # the executor looks for it

    sample = Sample(tmp_path, {"train": 60, "valid": 5, "test": 30}, shards=20)
    assert Path(sample.model).name == MODEL_FILE
    first, second, whole = (str(tmp_path / "Embedder" / "embeddings" / name) for name in ("1", "2", "3"))
    command = [sys.executable, "-c", KILLED, sample.examples, sample.model, first]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    waiting = tmp_path / "Embedder" / "staging"
    while len(done := list(waiting.glob("*/*.parquet"))) < 5 and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = {file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in waiting.glob("*/*.parquet")}
    assert 5 <= len(done) < 60  # of 20 files a split
    assert not Path(first).exists()

    execute(sample.examples, sample.model, second)
    assert f"{len(done)} files were finished" in capsys.readouterr().err
    files = {file.name: file for file in Path(second).iterdir()}
    assert {name: (files[name].stat().st_ino, files[name].stat().st_mtime_ns) for name in done} == done
    assert not list(waiting.iterdir())  # neither finished nor partial files are left

    execute(sample.examples, sample.model, whole)
    assert "were finished" not in capsys.readouterr().err
    assert len(files) == len(list(Path(whole).iterdir())) == 60
    for name, file in files.items():
        undisturbed = Path(whole) / name
        assert pq.read_table(file).drop_columns("vector") == pq.read_table(undisturbed).drop_columns("vector")
        np.testing.assert_allclose(matrix(file), matrix(undisturbed), atol=1e-5)


@pytest.mark.long
def test_jax_gives_the_same_vectors(sample: Sample, tmp_path: Path) -> None:
    ours = sample.embed(tmp_path / "tensorflow")
    code = (
        "import sys, keras; from components.embedder.embed import embed; from tests.components.direct import direct_pipeline\n"
        "assert keras.backend.backend() == 'jax'\n"
        "with direct_pipeline() as p: embed(p, sys.argv[1], ['train', 'test'], sys.argv[2], sys.argv[3])"
    )
    arguments = [sys.executable, "-c", code, sample.examples, sample.model, str(tmp_path / "jax")]
    done = subprocess.run(arguments, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for file in ours:
        np.testing.assert_allclose(matrix(file), matrix(tmp_path / "jax" / file.name), atol=1e-4)


def test_chunks_find_every_record_again(sample: Sample) -> None:
    files = examples_files(sample.examples, ["test", "train"])
    assert [(file.split, file.number) for file in files] == [("test", 0), ("test", 1), ("train", 0), ("train", 1)]
    found = list(chunks(files[3], 30))
    assert [(chunk.photos, chunk.name) for chunk in found] == [
        (30, "train-00001-000000.parquet"), (30, "train-00001-000001.parquet"), (10, "train-00001-000002.parquet")
    ]  # fmt: skip
    whole = [record.numpy() for record in tf.data.TFRecordDataset([files[3].path])]
    batches = [batch for chunk in found for batch in records(chunk, 16)]
    assert [len(batch) for batch in batches] == [16, 14, 16, 14, 10]
    assert [record for batch in batches for record in batch] == whole
    assert [chunk.photos for chunk in chunks(files[3], 35)] == [35, 35]  # no empty one at the end


def test_a_split_without_files_and_a_file_cut_short_stop_the_run(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"Split-valid/\*: no Examples there"):
        examples_files(sample.examples, ["valid"])
    path = tmp_path / "data"
    path.write_bytes(Path(examples_files(sample.examples, ["test"])[0].path).read_bytes()[:-1])
    [chunk] = chunks(ExamplesFile("test", 0, str(path)))
    assert chunk.photos == 13
    with pytest.raises(ValueError, match="TFRecord"):
        list(records(chunk, 64))
    with pytest.raises(ValueError, match="ends before record 13"):
        list(records(Chunk(examples_files(sample.examples, ["test"])[0], 0, 0, 14), 64))


def test_the_staging_folder_follows_from_model_and_examples(sample: Sample, tmp_path: Path) -> None:
    output, next_output = (str(tmp_path / "Embedder" / "embeddings" / number) for number in "78")
    folder = staging(output, sample.examples, ["test"], sample.model)
    assert Path(folder).parent == tmp_path / "Embedder" / "staging"
    assert staging(next_output, sample.examples, ["test"], sample.model) == folder
    assert staging(output, sample.examples, ["train"], sample.model) != folder
    other = tmp_path / "model.keras"
    other.write_bytes(Path(sample.model).read_bytes() + b" ")
    assert staging(output, sample.examples, ["test"], str(other)) != folder
    touched = Path(examples_files(sample.examples, ["test"])[0].path)
    os.utime(touched, (1, 1))
    assert staging(output, sample.examples, ["test"], sample.model) != folder


def test_publishing_moves_the_files_and_removes_what_was_partial(tmp_path: Path) -> None:
    folder, output = tmp_path / "staging" / "key", tmp_path / "embeddings" / "1"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"a": [1]}), folder / "b.parquet")
    (folder / "c.parquet.0.partial").write_text("half")
    assert finished(str(folder)) == [str(folder / "b.parquet")]
    publish(str(folder), str(output))
    assert [file.name for file in output.iterdir()] == ["b.parquet"]
    assert not folder.exists()
    assert finished(str(folder)) == []


def test_the_next_item_is_made_while_this_one_is_in_use() -> None:
    made = []

    def items() -> object:
        for i in range(3):
            made.append(i)
            yield i

    found = ahead(items())
    assert next(found) == 0
    deadline = time.monotonic() + 10
    while made != [0, 1] and time.monotonic() < deadline:
        time.sleep(0.001)
    assert made == [0, 1]  # and not 2: one in advance, however long the caller takes
    assert list(found) == [1, 2]
    assert list(ahead(iter(()))) == []


def test_an_error_in_the_thread_reaches_the_caller() -> None:
    def broken() -> object:
        yield 1
        raise ValueError("corrupt")

    with pytest.raises(ValueError, match="corrupt"):
        list(ahead(broken()))
