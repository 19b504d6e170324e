"""Ingestion on real files: every kind of bad input either works or is one rejected row, or one clear line."""

import io
import json
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.catalogue_gen.executor import _judge
from components.catalogue_gen.ingest import ingest
from components.catalogue_gen.photo import PhotoError, normalise
from components.catalogue_gen.readers.catalogue import CatalogueReader, read_header
from components.catalogue_gen.rows import SPLITS, Record, Reject
from components.catalogue_gen.shards import Folders
from components.catalogue_gen.splits import MEMBER, NEAR, code, decide, key, role
from components.errors import InputError
from models.taxonomy import Attribute, Taxonomy


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(normalise(data)))


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
        with beam.Pipeline() as pipeline:
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


def members(*rows: tuple[str, str]) -> np.ndarray:
    """Rows of (group, given split), none of them near-duplicates."""
    records = [Record(i + 2, "", f"id{i}", group, split, "", {}) for i, (group, split) in enumerate(rows)]
    found = [(key(record), key(record), i, record.row, code(record.split)) for i, record in enumerate(records)]
    return np.array(found, MEMBER)


def splits(rows: np.ndarray, reject_near: bool = False) -> list[str]:
    """Per row, where it goes, or "rejected"."""
    return ["rejected" if why else SPLITS[split - 1] for _, split, why, _ in sorted(decide(rows, reject_near))]


def test_splits_are_drawn_by_group_and_do_not_change() -> None:
    rows = members(*((f"g{i % 2000}", "") for i in range(4000)))
    drawn = splits(rows)
    assert drawn[:2000] == drawn[2000:]
    shares = {split: drawn.count(split) / 4000 for split in SPLITS}
    assert shares == pytest.approx({"train": 0.65, "valid": 0.10, "test": 0.25}, abs=0.03)
    assert splits(rows[::-1]) == drawn
    assert splits(members(("g3", ""))) == [drawn[3]]  # whoever else is there


def test_roles_are_drawn_by_id_and_a_given_one_stays() -> None:
    drawn = [role(Record(0, "", f"id{i}", "", "", "", {}), "test") for i in range(4000)]
    assert drawn.count("query") / 4000 == pytest.approx(0.2, abs=0.03)
    assert set(drawn) == {"query", "candidate"}
    assert role(Record(0, "", "a", "", "", "query", {}), "valid") == "query"
    assert role(Record(0, "", "a", "", "", "query", {}), "train") == ""


def test_a_group_follows_its_first_row_with_a_split() -> None:
    assert splits(members(("g", ""), ("g", "test"), ("g", "train"), ("g", ""))) == ["test", "test", "rejected", "test"]


def test_near_duplicates_follow_what_is_given_or_their_first() -> None:
    rows = members(("a", ""), ("b", ""), ("c", "valid"), ("d", ""))
    rows["root"][[0, 1, 2]] = rows["root"][0]
    assert splits(rows)[:3] == ["valid"] * 3
    apart = [i for i in range(50) if splits(members((f"n{i}", ""))) != splits(members(("a", "")))]
    far = members(("a", ""), (f"n{apart[0]}", ""))
    far["root"] = far["root"][0]
    assert splits(far) == splits(members(("a", ""))) * 2


def test_given_splits_of_near_duplicates_stay_unless_asked_for() -> None:
    rows = members(("a", "train"), ("b", "test"), ("c", "train"), ("b", ""))
    rows["root"] = rows["root"][0]
    assert splits(rows) == ["train", "test", "train", "test"]
    assert splits(rows, reject_near=True) == ["train", "rejected", "train", "rejected"]
    assert sorted(decide(rows, True))[1][2:] == (NEAR, 2)  # because of row 2


def test_a_reject_names_file_row_and_reason(catalogue: Catalogue) -> None:
    assert list(CatalogueReader().rows(catalogue.write("image,n\na.jpg\n"))) == [
        Reject("catalogue.csv", 2, "too few fields: 1, the header has 2; quote a cell with a comma")
    ]


def test_a_photo_is_turned_upright() -> None:
    image = Image.new("RGB", (60, 40), "white")
    image.paste((255, 0, 0), (0, 0, 20, 40))  # the left third is red
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to see it upright
    upright = opened(encoded(image, exif=exif))
    assert upright.size == (40, 60)
    assert np.asarray(upright)[5, 20, 1] < 60  # red on top
    assert np.asarray(upright)[50, 20, 1] > 200


def test_cmyk_alpha_palette_and_sixteen_bits_become_rgb() -> None:
    cmyk = np.asarray(opened(encoded(RED.convert("CMYK"))))
    assert cmyk[20, 20, 0] > 150
    assert cmyk[20, 20, 1] < 60
    clear = Image.new("RGBA", (40, 60), (255, 0, 0, 0))
    assert np.asarray(opened(encoded(clear, "PNG")))[20, 20].min() > 250  # white shows through
    grey = Image.fromarray(np.full((60, 40), 128 << 8, np.uint16))
    assert abs(int(np.asarray(opened(encoded(grey, "PNG")))[20, 20, 0]) - 128) < 3
    assert opened(encoded(RED.convert("P"), "PNG")).mode == "RGB"


def test_a_large_photo_is_made_smaller_and_keeps_its_shape() -> None:
    assert opened(encoded(Image.new("RGB", (3000, 1000)))).size == (256, 85)


@pytest.mark.parametrize(("data", "words"), [
    (encoded(Image.new("RGB", (1, 1))), "too small"),
    (encoded(Image.new("L", (10_000, 10_000))), "over 64 megapixels"),
    (b"", "not an image"),
    (b"\xff\xd8\xff\xe0 text", "image"),
])  # fmt: skip
def test_a_photo_that_cannot_be_used_says_why(data: bytes, words: str) -> None:
    with pytest.raises(PhotoError, match=words):
        normalise(data)


def test_a_catalogue_without_a_single_label_is_all_rejects(catalogue: Catalogue) -> None:
    output = catalogue.ingest("image,split,neckline\na.jpg,train,\nb.jpg,test,\n")
    assert set(rejects(output)) == {2, 3}
    with pytest.raises(InputError, match=r"2 of 2 rows rejected.*no row has a label"):
        _judge("catalogue.csv", str(output), 0.5)


def test_a_quote_left_open_costs_its_own_row_only(catalogue: Catalogue) -> None:
    found = list(CatalogueReader().rows(catalogue.write('image,n\na.jpg,"v\nb.jpg,v\nc.jpg,"v, w"\n')))
    assert [type(row) for row in found] == [Reject, Record, Record]
    assert found[0] == Reject("catalogue.csv", 2, "not CSV: a quote is not closed on its line")
