"""Spans of photos read as one catalogue: in their order, with ids of their own, and attributes that came later."""

from pathlib import Path

import pytest

from components.catalogue_gen.readers.reader import reader_of
from components.catalogue_gen.rows import Record
from components.errors import InputError


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
