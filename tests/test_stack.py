"""The versions that step outside declared bounds work together: each overridden package is proved by a use of it."""

import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_ml_metadata_and_attrs_keep_an_artifact(tmp_path: Path) -> None:
    import ml_metadata as mlmd
    from ml_metadata.proto import metadata_store_pb2 as pb

    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "m.sqlite")
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    store = mlmd.MetadataStore(config)
    kind = store.put_artifact_type(pb.ArtifactType(name="T"))
    [one] = store.put_artifacts([pb.Artifact(type_id=kind, uri="here")])
    assert mlmd.MetadataStore(config).get_artifacts_by_id([one])[0].uri == "here"


def test_data_validation_counts_with_pandas_numpy_arrow_and_tfx_bsl() -> None:
    from tfx import v1 as _  # noqa: F401, I001  (installs a shim that the next import needs)
    import pandas as pd
    import tensorflow_data_validation as tfdv

    found = tfdv.generate_statistics_from_dataframe(pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "y"]}))
    features = {feature.path.step[0]: feature for feature in found.datasets[0].features}
    assert features["a"].num_stats.mean == 2
    assert features["b"].string_stats.common_stats.num_missing == 1


def test_tfx_bsl_decodes_what_tensorflow_and_protobuf_encode() -> None:
    import tensorflow as tf
    from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[3, 4]))
    example = tf.train.Example(features=tf.train.Features(feature={"label/a": feature}))
    batch = ExamplesToRecordBatchDecoder().DecodeBatch([example.SerializeToString()])
    assert batch.to_pydict() == {"label/a": [[3, 4]]}


def test_tensorflow_metadata_reads_a_schema() -> None:
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    text = 'feature { name: "a" type: INT int_domain { min: 0 max: 7 } }'
    assert text_format.Parse(text, schema_pb2.Schema()).feature[0].int_domain.max == 7


def test_absl_flags_parse() -> None:
    from absl import flags

    values = flags.FlagValues()
    flags.DEFINE_integer("n", 1, "", flag_values=values)
    values(["program", "--n=5"])
    assert values.n == 5


def test_arrow_and_beam_write_parquet(tmp_path: Path) -> None:
    import apache_beam as beam
    import pyarrow as pa
    import pyarrow.parquet as pq

    with beam.Pipeline() as pipeline:
        rows = pipeline | beam.Create([{"a": 1}])
        _ = rows | beam.io.WriteToParquet(str(tmp_path / "x"), pa.schema([("a", pa.int64())]))
    assert pq.read_table(tmp_path).to_pylist() == [{"a": 1}]


def test_setuptools_builds_this_project(tmp_path: Path) -> None:
    for name in ("pipeline", "components", "models", "serving"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    code = "import setuptools.build_meta as b; print(b.build_wheel('.'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
    assert list(tmp_path.glob("m3net-*.whl"))


def test_the_lock_names_no_address_and_is_what_is_installed() -> None:
    text = (ROOT / "requirements.lock").read_text() + (ROOT / "requirements-dev.lock").read_text()
    assert "://" not in text
    pinned = dict(line.split(" ")[0].split("==") for line in text.splitlines() if "==" in line and not line.startswith(" "))
    wrong = {name: metadata.version(name) for name, version in pinned.items() if metadata.version(name) != version}
    assert wrong == {}


@pytest.mark.parametrize(("program", "text", "words"), [
    ("uname", "echo Darwin arm64", "needs Linux on x86-64"),
    ("python3.11", "exit 1", "not a working Python 3.11"),
    ("df", "echo; echo / 9 9 1024 9 /", "needs 4 GB of free disk"),
])  # fmt: skip
def test_a_machine_that_does_not_fit_is_one_line(tmp_path: Path, program: str, text: str, words: str) -> None:
    clone = tmp_path / "clone"
    (clone / ".ci").mkdir(parents=True)
    for name in (".ci/setup", "requirements.lock", "requirements-dev.lock", "pyproject.toml"):
        (clone / name).write_bytes((ROOT / name).read_bytes())
    fake = tmp_path / "bin" / program
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n{text}\n")
    fake.chmod(0o755)
    real = Path(sys.base_prefix) / "bin"
    done = subprocess.run(
        ["sh", ".ci/setup", "run"], cwd=clone, capture_output=True, text=True, check=False,
        env={"PATH": f"{fake.parent}:{real}:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (clone / ".venv").exists()
