"""Each format on a data set that can be read by eye, its traps one by one, and the public lists where they lie."""

import json
from collections import Counter
from pathlib import Path

import pytest

from components.catalogue_gen.readers.reader import FORMATS, Reader, reader_of
from components.catalogue_gen.rows import Record, Reject
from components.errors import InputError
from models.taxonomy import Attribute
from tests.components.layouts import ASEN, ASEN_ALL, DARN, DEEPFASHION, FASHIONAI, LAYOUTS, META, path_of, write

LISTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "lists"
public = pytest.mark.skipif(not LISTS.is_dir(), reason="the public lists are not beside the checkout")


def read(data_format: str, path: Path) -> tuple[list[Record], list[Reject]]:
    rows = list(reader_of(data_format).rows(str(path)))
    return [row for row in rows if isinstance(row, Record)], [row for row in rows if isinstance(row, Reject)]


def test_every_format_reads_its_miniature_without_a_reject(tmp_path: Path) -> None:
    assert set(LAYOUTS) == set(FORMATS)
    for name, files in LAYOUTS.items():
        folder = write(tmp_path / name / "mini", files)
        reader: Reader = reader_of(name)
        found = list(reader.rows(path_of(name, folder)))
        assert found, name
        assert not [row for row in found if isinstance(row, Reject)], name
        taxonomy = reader.taxonomy(path_of(name, folder))
        assert taxonomy is None or list(taxonomy.names) == reader.columns(path_of(name, folder))


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_a_wrong_path_is_one_line_and_found_at_once(name: str, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "nowhere" / "catalogue.csv"):
        with pytest.raises(InputError) as caught:
            reader_of(name).columns(str(path))
        assert str(path) in str(caught.value)


def test_fashionai_takes_the_place_of_the_y(tmp_path: Path) -> None:
    folder = write(tmp_path / "[fashion] ai", FASHIONAI)
    records, rejects = read("fashionai", folder)
    assert not rejects
    assert [(r.file, r.row, r.id, r.split, r.labels) for r in records] == [
        ("test/Annotations/label.csv", 1, "test/Images/pant_length_labels/d.jpg", "test", {"pant_length": ["v2"]}),
        ("train1/Annotations/label.csv", 1, "train1/Images/neck_design_labels/a.jpg", "", {"neck_design": ["v2"]}),
        ("train1/Annotations/label.csv", 2, "train1/Images/neck_design_labels/b.jpg", "", {"neck_design": ["v0"]}),
        ("train1/Annotations/label.csv", 3, "train1/Images/pant_length_labels/c.jpg", "", {"pant_length": ["v5"]}),
    ]
    assert records[0].location == f"{folder}/test/Images/pant_length_labels/d.jpg"
    sizes = [(a.name, len(a.classes)) for a in reader_of("fashionai").taxonomy(str(folder)).attributes]
    assert sizes == [
        ("skirt_length", 6), ("sleeve_length", 9), ("coat_length", 8), ("pant_length", 6),
        ("collar_design", 5), ("lapel_design", 5), ("neckline_design", 10), ("neck_design", 5),
    ]  # fmt: skip


def test_fashionai_names_its_classes_where_the_names_are_known(tmp_path: Path) -> None:
    names = {"ATTRIBUTES": ["pant_length"], "ATTRIBUTES_NUM": {"pant_length": 3}}
    names["ATTRIBUTES_VALUES"] = {"pant_length": ["Invisible", "Short", "Full"]}
    folder = write(tmp_path, {"value_names.json": json.dumps(names), "label.csv": "a.jpg,pant_length_labels,nny\n"})
    assert reader_of("fashionai").taxonomy(str(folder)).attributes == (
        Attribute("pant_length", ("Invisible", "Short", "Full")),
    )
    (record,), _ = read("fashionai", folder / "label.csv")
    assert record.labels == {"pant_length": ["Full"]}
    assert record.location == f"{folder}/a.jpg"


@pytest.mark.parametrize(("line", "words"), [
    ("a.jpg,pant_length_labels", "2 fields"),
    ("a.jpg,pant_length_labels,nny,x", "4 fields"),
    (",pant_length_labels,nnnnny", "3 fields"),
    ("a.jpg,cuff_labels,nny", 'no attribute "cuff"'),
    ("a.jpg,pant_length_labels,nnnny", "takes 6 letters"),
    ("a.jpg,pant_length_labels,nnnnnx", "each y, n or m"),
    ("a.jpg,pant_length_labels,nnmnnn", "has 0 y"),
    ("a.jpg,pant_length_labels,yynnnn", "has 2 y"),
    ("../a.jpg,pant_length_labels,ynnnnn", "leads out"),
    ("a\0.jpg,pant_length_labels,ynnnnn", "NUL"),
    ("a" * 2_000_000, "longer than 1,048,576 characters"),
])  # fmt: skip
def test_a_row_that_is_not_fashionais_is_rejected_and_the_next_one_stays(tmp_path: Path, line: str, words: str) -> None:
    folder = write(tmp_path, {"label.csv": f"\n{line}\r\n \nb.jpg,pant_length_labels,ynnnnn"})
    records, (reject,) = read("fashionai", folder)
    assert (reject.file, reject.row) == ("label.csv", 2)
    assert words in reject.reason
    assert len(reject.reason) < 300
    assert [(r.id, r.row) for r in records] == [("b.jpg", 4)]


def test_asen_lists_join_photos_labels_and_roles_by_number(tmp_path: Path) -> None:
    folder = write(tmp_path / "mini", ASEN)
    records, rejects = read("asen", folder)
    assert not rejects
    assert [(r.id, r.group, r.split, r.role, r.labels) for r in records] == [
        ("train/0", "img/a.jpg", "train", "", {"neck": ["v1"], "sleeve": ["v2"]}),
        ("train/1", "img/b.jpg", "train", "", {"sleeve": ["v0"]}),
        ("test/0", "img/c.jpg", "test", "query", {"neck": ["v1"]}),
        ("test/1", "img/d.jpg", "test", "candidate", {"neck": ["v1"]}),
        ("test/2", "img/e.jpg", "test", "query", {"sleeve": ["v2"]}),
    ]
    assert (records[4].location, records[4].row, records[4].file) == (f"{folder}/img/e.jpg", 3, "filenames_test.txt")
    assert reader_of("asen").taxonomy(str(folder)).attributes == (
        Attribute("neck", ("v0", "v1")),
        Attribute("sleeve", ("v0", "v1", "v2")),
    )


def test_an_attribute_with_two_classes_in_one_photo_is_multi_label(tmp_path: Path) -> None:
    folder = write(tmp_path / "mini", ASEN | {"label_train.txt": "0 1 0 1 2\n1 0 0 0 0\n"})
    assert [a.multi_label for a in reader_of("asen").taxonomy(str(folder)).attributes] == [False, True]
    records, _ = read("asen", folder)
    assert records[0].labels == {"sleeve": ["v0", "v2"]}
    assert records[1].labels == {"neck": ["v0"]}  # the same class twice is once


def test_every_line_of_the_lists_is_a_photos_or_a_reject(tmp_path: Path) -> None:
    files = ASEN | {
        "filenames_train.txt": "img/a.jpg\n\n../b.jpg\nimg/c.jpg\nimg/d.jpg\n",
        "label_train.txt": "0 0 1\n1 0 1\n2 0 1\n4 2 0\n4 0 2\n4 0 1\n3 0 1\n9 0 1\n",
        "query_test.txt": "0 0 1\n2 0 1 1 0\n0 0 0\n",
        "candidate_test.txt": "1 0 1\n0 0 1\nx 0 1\n-1 0 1\n",
    }
    records, rejects = read("asen", write(tmp_path / "mini", files))
    assert [r.id for r in records] == ["train/0", "train/4", "test/0", "test/1"]
    words = {
        ("filenames_train.txt", 3): "leads out",
        ("filenames_train.txt", 4): "photo 3 is not in label_train.txt",
        ("label_train.txt", 2): "filenames_train.txt row 2 is blank",
        ("label_train.txt", 4): "no attribute 2",
        ("label_train.txt", 5): '"neck" has no class 2',
        ("label_train.txt", 7): "photo 3 comes after photo 4 of row 6",
        ("label_train.txt", 8): "no photo 9; filenames_train.txt has 5",
        ("query_test.txt", 2): "2 labels; a query is one photo",
        ("query_test.txt", 3): "photo 0 stands in query_test.txt row 1 already",
        ("candidate_test.txt", 2): "photo 0 stands in query_test.txt row 1 already",
        ("candidate_test.txt", 3): "expected whole numbers",
        ("candidate_test.txt", 4): "expected whole numbers",
        ("filenames_test.txt", 3): "photo 2 is not in query_test.txt or candidate_test.txt",
    }
    found = {(reject.file, reject.row): reject.reason for reject in rejects}
    assert len(found) == len(rejects)
    assert set(found) == set(words)
    assert {place: word for place, word in words.items() if word not in found[place]} == {}


def test_labels_without_their_photos_are_one_reject_and_the_other_splits_stay(tmp_path: Path) -> None:
    files = {name: text for name, text in ASEN.items() if name != "filenames_train.txt"}
    records, rejects = read("asen", write(tmp_path / "mini", files))
    assert [r.split for r in records] == ["test"] * 3
    assert [(r.file, r.row) for r in rejects] == [("label_train.txt", 1)]
    assert "filenames_train.txt is not there" in rejects[0].reason


@pytest.mark.parametrize(("files", "words"), [
    ({"query_test.txt": None}, "no query_test.txt"),
    ({"filenames_train.txt": None, "filenames_test.txt": None}, "holds no filenames_train.txt"),
    ({"meta.json": None}, "no meta.json"),
    ({"meta.json": "{"}, "JSONDecodeError"),
    ({"meta.json": "[1]"}, "not an object"),
    ({"meta.json": META.replace("mini", "other")}, 'called "mini", and it knows only other'),
    ({"meta.json": META.replace('"neck": 2', '"neck": 0')}, '"neck" has 0 classes'),
    ({"meta.json": META.replace('"neck": 2', '"neck": "2"')}, '"neck" has 2 classes; expected 1 to'),
    ({"meta.json": META.replace("neck", "a/b")}, "no / in it"),
    ({"meta.json": META.replace("neck", "\\ud800")}, "surrogates not allowed"),
])  # fmt: skip
def test_a_folder_that_is_not_asens_is_one_line(tmp_path: Path, files: dict[str, str | None], words: str) -> None:
    left = {name: text for name, text in {**ASEN, **files}.items() if text is not None}
    with pytest.raises(InputError) as caught:
        reader_of("asen").columns(str(write(tmp_path / "mini", left)))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_asen_all_ranks_global_numbers_within_their_type(tmp_path: Path) -> None:
    folder = write(tmp_path / "mini", ASEN_ALL)
    records, rejects = read("asen_all", folder)
    assert not rejects
    # Type 1 has the numbers 0 and 3, type 2 has 1, 2 and 4.
    assert [(r.role, r.labels) for r in records if r.split == "test"] == [
        ("query", {"neck": ["v1"], "sleeve": ["v0"]}),
        ("candidate", {"neck": ["v1", "v0"]}),
        ("query", {"sleeve": ["v1", "v2"]}),
    ]
    assert [a.multi_label for a in reader_of("asen_all").taxonomy(str(folder)).attributes] == [True, True]


def test_asen_all_rejects_what_has_no_role_and_refuses_what_it_cannot_rank(tmp_path: Path) -> None:
    files = ASEN_ALL | {"candidate_test.txt": "", "label_test.txt": ASEN_ALL["label_test.txt"] + "\n0 0 1\n7 1\n"}
    _, rejects = read("asen_all", write(tmp_path / "mini", files))
    found = {(reject.file, reject.row): reject.reason for reject in rejects}
    assert "no query and no candidate" in found["label_test.txt", 2]
    assert "types count from 1" in found["label_test.txt", 4]
    assert "expected whole numbers" in found["label_test.txt", 5]
    assert "photo 1 is not in" in found["filenames_test.txt", 2]
    assert len(found) == 4
    with pytest.raises(InputError, match="shows 1 classes of type 1"):
        read("asen_all", write(tmp_path / "mini", {"candidate_test.txt": "1 0 1", "label_test.txt": "0 1 3\n"}))


def test_darn_knows_its_nine_attributes(tmp_path: Path) -> None:
    records, rejects = read("darn", write(tmp_path / "anything", DARN))
    assert not rejects
    assert [(r.id, r.role, r.labels) for r in records] == [
        ("valid/0", "candidate", {"clothes color": ["v54"]}),
        ("valid/1", "query", {"sleeve shape": ["v16"]}),
    ]
    assert sum(len(a.classes) for a in reader_of("darn").taxonomy(str(tmp_path / "anything")).attributes) == 185


def test_deepfashion_reads_its_lists_side_by_side(tmp_path: Path) -> None:
    folder = write(tmp_path / "mini", DEEPFASHION)
    records, rejects = read("deepfashion", folder)
    assert not rejects
    assert [(r.row, r.split, r.role, r.id) for r in records] == [
        (3, "train", "", "img/Tee/img_00000001.jpg"),
        (4, "valid", "", "img/Tee/img_00000002.jpg"),
        (5, "test", "", "img/Skirt/img_00000001.jpg"),
    ]
    assert [{name: classes for name, classes in r.labels.items() if classes} for r in records] == [
        {"texture-related": ["floral print", "plaid"]},
        {"fabric-related": ["cotton"]},
        {"shape-related": ["a-line"], "part-related": ["high-low hem"], "style-related": ["boho"]},
    ]
    taxonomy = reader_of("deepfashion").taxonomy(str(folder))
    assert taxonomy["texture-related"] == Attribute("texture-related", ("floral print", "plaid"), True)
    assert len(taxonomy.names) == 5
    records, _ = read("deepfashion_category", folder)
    assert [r.labels["category"] for r in records] == [["Tank Top"], ["Tank Top"], ["Skirt"]]
    (folder / "Img").mkdir()
    assert read("deepfashion", folder)[0][0].location == f"{folder}/Img/img/Tee/img_00000001.jpg"


def test_deepfashion_refuses_what_does_not_fit_row_by_row(tmp_path: Path) -> None:
    files = DEEPFASHION | {
        "Anno/list_attr_img.txt": (
            "9\nimage_name  attribute_labels\n"
            "img/a.jpg 1 -1 -1 0 -1\n"
            "img/b.jpg 1 -1 -1 0 -1 2\n"
            "img/c.jpg 1 -1 -1 0 -1 1\n"
            "img/d.jpg 1 -1 -1 0 -1 1\n"
            "img/e.jpg 1 -1 -1 0 -1 1\n"
            "/f.jpg 1 -1 -1 0 -1 -1\n"
        ),
        "Eval/list_eval_partition.txt": (
            "5\nimage_name  evaluation_status\nimg/a.jpg train\nimg/b.jpg train\nimg/x.jpg train\nimg/d.jpg vla\nimg/e.jpg test\n"
        ),
    }
    records, rejects = read("deepfashion", write(tmp_path, files))
    assert [r.id for r in records] == ["img/e.jpg"]
    assert [(r.file, r.row) for r in rejects] == [
        *(("list_attr_img.txt", row) for row in (3, 4, 5, 6, 8)),
        ("list_attr_img.txt", 1),
    ]
    words = ["5 values; expected 6", "each 1, -1 or 0", '"img/x.jpg" where', '"vla" is none of', "ends before", "says 9 photos"]
    assert [word for word, reject in zip(words, rejects, strict=True) if word not in reject.reason] == []


@pytest.mark.parametrize(("file", "text", "words"), [
    ("list_attr_cloth.txt", "2\nattribute_name type\nplaid 1\n", "the count says 2 lines, the file has 1"),
    ("list_attr_cloth.txt", "1\nattribute_name type\nplaid 6\n", 'type "6"; there are 1 to 5'),
    ("list_attr_cloth.txt", "1\nattribute_name type\nplaid\n", '"plaid": expected a name and a type'),
    ("list_attr_cloth.txt", "1\nattribute_name type\nplaid 1\n", "an attribute needs at least one class"),
    ("list_attr_cloth.txt", "plaid 1\nattribute_name type\n", "rows 1 and 2 are the count"),
    ("list_attr_cloth.txt", "", "rows 1 and 2 are the count"),
])  # fmt: skip
def test_a_list_of_classes_that_cannot_be_used_is_one_line(tmp_path: Path, file: str, text: str, words: str) -> None:
    folder = write(tmp_path, DEEPFASHION | {f"Anno/{file}": text})
    with pytest.raises(InputError) as caught:
        reader_of("deepfashion").columns(str(folder))
    assert words in str(caught.value)


def test_a_list_whose_header_was_cut_off_does_not_lose_its_first_photo(tmp_path: Path) -> None:
    cut = DEEPFASHION["Anno/list_attr_img.txt"].split("\n", 2)
    folder = write(tmp_path, DEEPFASHION | {"Anno/list_attr_img.txt": f"{cut[0]}\n{cut[2]}"})
    with pytest.raises(InputError, match="rows 1 and 2 are the count of lines and a header"):
        read("deepfashion", folder)


def test_two_classes_of_one_name_and_type_are_told_apart(tmp_path: Path) -> None:
    text = DEEPFASHION["Anno/list_attr_cloth.txt"].replace("plaid", "floral print")
    folder = write(tmp_path, DEEPFASHION | {"Anno/list_attr_cloth.txt": text})
    assert reader_of("deepfashion").taxonomy(str(folder))["texture-related"].classes == ("floral print", "floral print (5)")


PUBLISHED = {"FashionAI": (3600, 14400, 8), "DARN": (4293, 17168, 9), "DeepFashion": (5525, 22100, 5)}


@public
@pytest.mark.parametrize(("name", "data_format"), [
    ("FashionAI", "asen"), ("DARN", "darn"), ("DARN", "asen"), ("DeepFashion", "asen"), ("DeepFashion", "asen_all"),
])  # fmt: skip
def test_the_public_lists_give_the_published_counts(name: str, data_format: str) -> None:
    records, rejects = read(data_format, LISTS / name)
    queries, candidates, attributes = PUBLISHED[name]
    assert Counter((r.split, r.role) for r in records) == {
        (split, role): count for split in ("valid", "test") for role, count in (("query", queries), ("candidate", candidates))
    }
    assert [r.file for r in rejects] == (["label_train.txt"] if name == "FashionAI" else [])
    assert len(reader_of(data_format).columns(str(LISTS / name))) == attributes
    assert len({r.id for r in records}) == len(records)


@public
def test_deepfashions_repeated_photo_stays_twice_in_its_split() -> None:
    records, _ = read("asen", LISTS / "DeepFashion")
    twice = [r for r in records if r.group == "img/Striped_A-Line_Dress/img_00000008.jpg"]
    assert [(r.id, r.split) for r in twice] == [("valid/6346", "valid"), ("valid/17037", "valid")]


@public
def test_both_numberings_of_deepfashion_agree() -> None:
    """The one label of a query or candidate is among all labels of the photo; ranks follow from the numbers alone."""
    one, _ = read("asen", LISTS / "DeepFashion")
    every, _ = read("asen_all", LISTS / "DeepFashion")
    assert all(set(a.labels[name]) <= set(b.labels[name]) for a, b in zip(one, every, strict=True) for name in a.labels)
    pairs = Counter(name.split("-")[0] for r in every if r.split == "test" for name, some in r.labels.items() for _ in some)
    assert pairs == {"texture": 19037, "fabric": 26464, "shape": 18387, "part": 17272, "style": 14731}  # counted by awk


@public
def test_fashionais_own_labels_agree_with_the_lists() -> None:
    own, rejects = read("fashionai", LISTS / "FashionAI" / "label_test.csv")
    assert not rejects
    lists, _ = read("asen", LISTS / "FashionAI")
    assert [r.labels for r in own] == [r.labels for r in lists if r.split == "test"]
