"""The sixth format of docs/formats.md: short, clean, and as sound as the others, taken from the page and run."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.catalogue_gen.readers.reader import FORMATS, Reader
from components.catalogue_gen.rows import Record, Reject
from components.errors import InputError
from tests.components.test_fuzz_readers import END, GARBAGE, rows_in

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
GOOD = b'{"image": "a.jpg", "split": "test", "neckline": ["v", "v"]}'


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.splitlines()) <= 60
    file = tmp_path_factory.mktemp("readers") / "jsonlines.py"
    file.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("jsonlines", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_names_every_format() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| .*(?:folder|csv|same)", PAGE, re.MULTILINE)) == set(FORMATS)


def test_the_documented_reader_reads(documented: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "photos.jsonl"
    file.write_bytes(
        GOOD
        + b'\n{"image": "b.jpg", "neckline": "v"}\n{"image": "../c.jpg"}\n[1]\n'
        + b"[" * 200_000
        + b'\n{"image": "\\ud800"}'
    )
    reader: Reader = documented.JsonLinesReader()
    first, *others = reader.rows(str(file))
    assert first == Record(1, f"{tmp_path}/a.jpg", "a.jpg", "", "test", "", {"neckline": ["v"]}, "photos.jsonl")
    assert [(row.row, type(row)) for row in others] == [(2, Reject), (3, Reject), (4, Reject), (5, Reject), (6, Reject)]
    assert reader.columns(str(file)) == ["neckline"]


def test_the_documented_reader_loses_no_row(documented: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "photos.jsonl"

    @settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(GARBAGE, max_size=4), END)
    def fuzz(some: list[bytes], end: bytes) -> None:
        file.write_bytes(end.join([GOOD, *some]))
        try:
            rows = list(documented.JsonLinesReader().rows(str(file)))
        except InputError as error:
            assert "UTF-8" in str(error)  # noqa: PT017  (which files are refused is not told before)
        else:
            assert len(rows) == rows_in(file.read_bytes())

    fuzz()
