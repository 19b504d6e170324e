"""docs/serving.md is true: its flags are the server's, its numbers the code's, its examples run."""

import argparse
import ast
import re
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from pipeline.options import parser
from serving import retrieval
from serving.batcher import Batching
from serving.flags import add_flags
from serving.http_server import Limits
from serving.photos import MOST_PIXELS
from serving.policy import ModelConfig, Policy, RequestLogging, configs_of
from serving.protos import model_server_config_pb2
from serving.remote import BATCHING
from serving.signatures import MOST_ROWS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    return [text for found, text in re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE) if found == kind]


def test_the_flags_are_the_servers() -> None:
    made = argparse.ArgumentParser(add_help=False)
    add_flags(made, rest_api_port=8501)
    real = {action.option_strings[0] for action in made._actions if action.option_strings}
    assert set(re.findall(r"^\| `(--[\w-]+)`", TEXT, re.MULTILINE)) == real
    for action in made._actions:
        if len(action.option_strings) == 2:
            assert action.option_strings[1] == "--" + action.option_strings[0][2:].replace("-", "_")


def test_the_models_config_is_one() -> None:
    (text,) = (block for block in blocks("") if block.startswith("model_config_list"))
    config = configs_of(text_format.Parse(text, model_server_config_pb2.ModelServerConfig()))
    logging = RequestLogging("/srv/shop/log/requests", 0.01)
    labels = {"stable": 7, "canary": 8}
    assert config == {"m3net": ModelConfig(Path("/srv/shop/releases"), Policy(latest=2), labels, logging)}


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines() if line.startswith("m3net ")])
def test_the_commands_are_ones(line: str) -> None:
    parser().parse_args(line.split()[1:])


def test_the_numbers_are_the_codes() -> None:
    limits, batching = Limits(), Batching()
    for words in (
        f"{limits.most_bytes >> 20} MB; all REST bodies together {limits.most_bytes_together >> 20} MB",
        f"{MOST_ROWS:,} |",
        f"{MOST_PIXELS // 10**6} million pixels",
        f"| `k` | {retrieval.MAX_K:,} |",
        f"REST connections | {limits.connections}, {limits.idle_seconds:g} seconds of silence",
        f"`max_batch_size` rows ({batching.max_batch_size})",
        f"`max_enqueued_batches` ({batching.max_enqueued_batches})",
        f"`num_batch_threads` ({batching.num_batch_threads}) workers, {BATCHING.num_batch_threads} with `--embedder`",
    ):
        assert words in TEXT


def test_every_complaint_has_a_test_or_a_benchmark_that_shows_the_answer() -> None:
    section = TEXT.split("## What users of TensorFlow Serving complain of\n")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 9
    for row in rows:
        shown = re.findall(r"`((?:tests|benchmarks)/\w[\w/]*\.py)(?:::(\w+))?`", row[3])
        assert len(shown) == row[3].count("`") / 2 > 0, row[0]
        for file, name in shown:
            assert bool(name) == file.startswith("tests/"), file
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert not name or name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}, f"{file}::{name}"


def test_the_python_example_runs(address: str, photo: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    (tmp_path / "photo.png").write_bytes(photo(40))
    code = code.replace("127.0.0.1:8500", address).replace("photo.jpg", str(tmp_path / "photo.png"))
    exec(code, {})
    assert len(capsys.readouterr().out.splitlines()) == 10
