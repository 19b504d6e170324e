"""Spans of photos read as one catalogue: in their order, with ids of their own, counted, and attributes that came later."""

from pathlib import Path

import pytest

from components.catalogue_gen.ingest import Photos, ingest
from components.catalogue_gen.readers.reader import reader_of
from components.catalogue_gen.readers.spans import ranges
from components.catalogue_gen.rows import Record
from components.catalogue_gen.shards import Folders
from components.catalogue_gen.span_counts import read_spans
from components.errors import InputError
from tests.components.direct import direct_pipeline


def written(folder: Path, **catalogues: str) -> str:
    for name, text in catalogues.items():
        (folder / name).mkdir()
        (folder / name / "catalogue.csv").write_text(text)
    return f"{folder}/s{{SPAN}}/catalogue.csv"


def test_all_spans_are_one_catalogue_by_number(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        s10="image,colour,hem\na.jpg,red,frill\n",
        s2="image,id,colour\na.jpg,own,blue\nb.jpg,,\n",
        sx="image,colour\n",
    )
    reader = reader_of("catalogue", path)
    assert reader.columns(path) == ["colour", "hem"]
    rows = list(reader.rows(path))
    assert all(isinstance(row, Record) for row in rows)
    assert [(row.file, row.row) for row in rows] == [
        ("span 2, catalogue.csv", 2),
        ("span 2, catalogue.csv", 3),
        ("span 10, catalogue.csv", 2),
    ]
    assert [row.span for row in rows if isinstance(row, Record)] == [2, 2, 10]
    assert [row.id for row in rows if isinstance(row, Record)] == ["own", "2/b.jpg", "10/a.jpg"]
    assert [row.location for row in rows if isinstance(row, Record)] == [
        f"{tmp_path}/s2/a.jpg",
        f"{tmp_path}/s2/b.jpg",
        f"{tmp_path}/s10/a.jpg",
    ]


def test_no_span_and_one_twice_are_one_line(tmp_path: Path) -> None:
    path = f"{tmp_path}/s{{SPAN}}/catalogue.csv"
    with pytest.raises(InputError, match=r"no span there; {SPAN} stands for a whole number, such as .*/s1/catalogue.csv"):
        reader_of("catalogue", path).columns(path)
    written(tmp_path, s1="image,colour\n", s01="image,colour\n")
    with pytest.raises(InputError, match="stands there twice"):
        reader_of("catalogue", path).columns(path)


def ingested(path: str, folder: Path) -> str:
    """Labels alone, in two shards. Returns: the folder of the labels."""
    folders = Folders(*(str(folder / name) for name in ("examples", "labels", "staging")), 2)
    with direct_pipeline() as pipeline:
        ingest(pipeline, path, folders, photos=Photos(labels_only=True), chunk_rows=1)
    return folders.labels


def test_what_each_span_shows_is_counted_and_without_spans_nothing_is(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        s1="image,split,colour,hem\na.jpg,train,red,\nb.jpg,train,,\nc.jpg,test,red,frill|lace\n",
        s3="image,split,colour\na.jpg,train,blue\na.jpg,nowhere,blue\n",
    )
    found = [tuple(one) for one in read_spans(ingested(path, tmp_path / "out"))]
    assert found == [
        ("test", 1, "", "", 1), ("test", 1, "colour", "", 1), ("test", 1, "colour", "red", 1),
        ("test", 1, "hem", "", 1), ("test", 1, "hem", "frill", 1), ("test", 1, "hem", "lace", 1),
        ("train", 1, "", "", 2), ("train", 1, "colour", "", 1), ("train", 1, "colour", "red", 1),
        ("train", 3, "", "", 1), ("train", 3, "colour", "", 1), ("train", 3, "colour", "blue", 1),
    ]  # fmt: skip
    labels = ingested(f"{tmp_path}/s3/catalogue.csv", tmp_path / "alone")
    assert sorted(one.name for one in Path(labels).iterdir()) == ["Split-test", "Split-train", "Split-valid"]


def test_numbers_in_few_words() -> None:
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
