"""Ingestion on real files: every kind of bad input either works or is one rejected row, or one clear line."""

import gzip
import json
from pathlib import Path

import pytest
import tensorflow as tf
from PIL import Image

from components.catalogue_gen.executor import _judge
from components.catalogue_gen.ingest import ingest
from components.catalogue_gen.readers.catalogue import CatalogueReader, read_header
from components.catalogue_gen.rows import Record, Reject
from components.catalogue_gen.shards import Folders
from components.errors import InputError
from models.taxonomy import Attribute, Taxonomy
from tests.components.direct import direct_pipeline
from tests.components.test_photo import bomb, encoded

RED = Image.new("RGB", (40, 60), (200, 0, 0))


class Catalogue:
    """A catalogue in a folder, with photos that can be read unless a test writes another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in "abcdef":
            (folder / f"{name}.jpg").write_bytes(encoded(RED))

    def write(self, text: str, encoding: str = "utf-8") -> str:
        path = self.folder / "catalogue.csv"
        path.write_bytes(text.encode(encoding))
        return str(path)

    def ingest(self, text: str, taxonomy: Taxonomy | None = None) -> Path:
        path, output = self.write(text), self.folder / "examples"
        with direct_pipeline() as pipeline:
            ingest(pipeline, path, Folders(str(output), str(self.folder / "labels"), str(self.folder / "staging"), 1), taxonomy)
        return output


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


def rejects(output: Path) -> dict[int, str]:
    lines = [line for file in (output / "rejects").iterdir() for line in file.read_text().splitlines()]
    return {found["row"]: found["reason"] for found in map(json.loads, lines)}


def examples(output: Path, split: str) -> dict[str, tf.train.Example]:
    files = [str(file) for file in (output / f"Split-{split}").iterdir()]
    found = [tf.train.Example.FromString(record.numpy()) for record in tf.data.TFRecordDataset(files)]
    return {example.features.feature["image/id"].bytes_list.value[0].decode(): example for example in found}


def test_examples_are_as_the_contract_says(catalogue: Catalogue) -> None:
    output = catalogue.ingest(
        "image,split,role,group,neckline,details\na.jpg,train,,g,v,bow|zip\nb.jpg,test,query,,round,\nc.jpg,test,candidate,,v,zip\n"
    )
    found = {**examples(output, "train"), **examples(output, "test")}
    assert set(found) == {"a.jpg", "b.jpg", "c.jpg"}
    features = found["a.jpg"].features.feature
    assert set(features) == {"image/encoded", "image/id", "image/group", "role", "label/neckline", "label/details"}
    assert list(features["label/neckline"].int64_list.value) == [1]  # round, v
    assert list(features["label/details"].int64_list.value) == [0, 1]
    assert list(found["b.jpg"].features.feature["label/details"].int64_list.value) == []  # unlabelled
    assert found["b.jpg"].features.feature["role"].bytes_list.value[0] == b"query"
    taxonomy = Taxonomy.load(output)
    assert taxonomy.attributes == (Attribute("neckline", ("round", "v")), Attribute("details", ("bow", "zip"), True))
    assert json.loads((output / "counts.json").read_text()) == {"train": 1, "test": 2}


def test_every_bad_row_is_rejected_with_its_reason_and_the_others_stay(catalogue: Catalogue) -> None:
    (catalogue.folder / "text.jpg").write_text("this is no photo")
    (catalogue.folder / "cut.jpg").write_bytes((catalogue.folder / "a.jpg").read_bytes()[:400])
    output = catalogue.ingest(
        "image,split,role,id,group,neckline\n"
        "a.jpg,train,,one,,v\n"
        "missing.jpg,train,,two,,v\n"
        "text.jpg,train,,three,,v\n"
        "cut.jpg,train,,four,,v\n"
        "b.jpg,train,,one,,v\n"
        "../../etc/passwd,train,,six,,v\n"
        "c.jpg,train,,seven,,v,extra\n"
        "c.jpg,train,,eight\n"
        "c.jpg,nowhere,,nine,,v\n"
        "c.jpg,test,judge,ten,,v\n"
        "d.jpg,train,,eleven,twins,v\n"
        "e.jpg,test,,twelve,twins,v\n"
        "f.jpg,test,query,thirteen,,v\n"
    )
    found = rejects(output)
    words = {
        3: "not there", 4: "not an image", 5: "corrupt", 6: "stands in row 2", 7: "out of the catalogue", 8: "too many fields",
        9: "too few fields", 10: '"nowhere"', 11: '"judge"', 13: 'group "twins"',
    }  # fmt: skip
    assert {row: word for row, word in words.items() if word not in found.get(row, "")} == {}
    assert set(found) == set(words)
    assert set(examples(output, "train")) == {"one", "eleven"}
    assert set(examples(output, "test")) == {"thirteen"}


def test_every_kind_of_bad_photo_is_one_rejected_row(catalogue: Catalogue) -> None:
    whole, folder = encoded(RED), catalogue.folder
    files = {
        "empty.jpg": b"", "cut.jpg": whole[:-40], "page.jpg": b"<html>404</html>", "tiny.png": encoded(RED.resize((7, 60)), "PNG"),
        "bomb.png": bomb(100_000, 100_000), "program.eps": encoded(RED, "EPS"), "packed.jpg.gz": b"\x1f\x8b no gzip",
        "good.gif": encoded(RED, "GIF"), "good.webp": encoded(RED, "WEBP"), "packed.png.gz": gzip.compress(encoded(RED, "PNG")),
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "folder.jpg").mkdir()
    names = [*files, "folder.jpg", "lost.jpg", "ftp://shop/a.jpg", f"{'long' * 99}.jpg"]
    output = catalogue.ingest("image,split,neckline\n" + "".join(f"{name},train,v\n" for name in names))
    words = dict(zip(names, ("is empty", "truncated", "not an image", "too small", "over 64 megapixels", "not an image",
        "cannot be read", "", "", "", "Is a directory", "not there", "cannot be read", "File name too long"), strict=True))  # fmt: skip
    found = rejects(output)
    assert {name: found.get(row) for row, name in enumerate(names, 2) if words[name] not in found.get(row, "")} == {}
    assert (
        set(examples(output, "train"))
        == {name for name in names if not words[name]}
        == {"good.gif", "good.webp", "packed.png.gz"}
    )
    assert json.loads((output / "counts.json").read_text()) == {"train": 3, "rejected": 11}
    assert not any("\n" in reason for reason in found.values())


def test_a_given_taxonomy_rejects_what_it_does_not_know_and_names_the_nearest(catalogue: Catalogue) -> None:
    given = Taxonomy((Attribute("neckline", ("v_neck", "round")),))
    output = catalogue.ingest("image,split,neckline\na.jpg,train,v_neck\nb.jpg,train,v neck\nc.jpg,train,round|v_neck\n", given)
    found = rejects(output)
    assert 'did you mean "v_neck"?' in found[3]
    assert "single-label" in found[4]


def test_a_class_seen_only_in_test_is_in_the_taxonomy_and_a_column_without_labels_is_not(catalogue: Catalogue) -> None:
    output = catalogue.ingest("image,split,neckline,never\na.jpg,train,v,\nb.jpg,test,round,\n")
    assert Taxonomy.load(output).attributes == (Attribute("neckline", ("round", "v")),)
    assert set(examples(output, "test")) == {"b.jpg"}


@pytest.mark.parametrize(("text", "words"), [
    ("", "is empty"),
    ("image,neckline,neckline\n", "twice: neckline"),
    ("photo,neckline\n", 'no column "image"'),
    ("image,split\n", "no attribute column"),
    ("image,\n", "column 2 has no name"),
    ("image,a/b\n", "take the / out"),
])  # fmt: skip
def test_a_header_that_cannot_be_used_is_one_line(catalogue: Catalogue, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_header(catalogue.write(text))
    assert "\n" not in str(caught.value)


def test_windows_line_ends_byte_order_mark_and_foreign_letters(catalogue: Catalogue) -> None:
    path = catalogue.write('\ufeffimage,"colour, main"\r\na.jpg,"weiß|Übergröße"\r\n\r\nb.jpg,青\r\n')
    rows = list(CatalogueReader().rows(path))
    assert [row.labels for row in rows if isinstance(row, Record)] == [
        {"colour, main": ["weiß", "Übergröße"]},
        {"colour, main": ["青"]},
    ]
    assert [row.row for row in rows] == [2, 4]


def test_another_encoding_is_one_line(catalogue: Catalogue) -> None:
    with pytest.raises(InputError, match="save it as UTF-8"):
        list(CatalogueReader().rows(catalogue.write("image,colour\na.jpg,weiß\n", "latin-1")))


def test_only_rejects_no_rows_or_an_empty_split_stop_the_run(catalogue: Catalogue) -> None:
    output = catalogue.ingest("image,split,neckline\n")
    with pytest.raises(InputError, match="no row"):
        _judge("catalogue.csv", str(output), 0.1)


def test_one_image_alone_is_one_line(catalogue: Catalogue) -> None:
    output = catalogue.ingest("image,neckline\na.jpg,v\n")
    with pytest.raises(InputError, match="no photo in") as caught:
        _judge("catalogue.csv", str(output), 0.1)
    assert "\n" not in str(caught.value)


def test_too_many_rejects_stop_the_run_and_are_quoted(catalogue: Catalogue) -> None:
    output = catalogue.ingest("image,split,neckline\na.jpg,train,v\nmissing.jpg,train,v\nb.jpg,test,v\n")
    _judge("catalogue.csv", str(output), 0.34)
    with pytest.raises(InputError, match=r"1 of 3 rows rejected.*row 3: .*not there"):
        _judge("catalogue.csv", str(output), 0.3)


def test_a_reject_names_file_row_and_reason(catalogue: Catalogue) -> None:
    assert list(CatalogueReader().rows(catalogue.write("image,n\na.jpg\n"))) == [
        Reject("catalogue.csv", 2, "too few fields: 1, the header has 2; quote a cell with a comma")
    ]


def test_a_catalogue_without_a_single_label_is_all_rejects(catalogue: Catalogue) -> None:
    output = catalogue.ingest("image,split,neckline\na.jpg,train,\nb.jpg,test,\n")
    assert set(rejects(output)) == {2, 3}
    with pytest.raises(InputError, match=r"2 of 2 rows rejected.*no row has a label"):
        _judge("catalogue.csv", str(output), 0.5)


def test_a_quote_left_open_costs_its_own_row_only(catalogue: Catalogue) -> None:
    found = list(CatalogueReader().rows(catalogue.write('image,n\na.jpg,"v\nb.jpg,v\nc.jpg,"v, w"\n')))
    assert [type(row) for row in found] == [Reject, Record, Record]
    assert found[0] == Reject("catalogue.csv", 2, "not CSV: a quote is not closed on its line")
