"""Files as they are found in the wild: whatever is in them, every row is a record or a reject, or the file one clear line.

The rows are counted here by a rule of its own: split at \\n, \\r\\n and \\r; a line of white space alone is no row.
"""

import re
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.catalogue_gen.readers.reader import FORMATS, reader_of
from components.catalogue_gen.rows import Record, Reject
from components.errors import InputError
from tests.components.layouts import LAYOUTS, path_of, write

LONG = "x" * 1_000_000
GARBAGE = st.one_of(
    st.sampled_from([
        b"", b" ", b"\t\t", b"\0", b"0 0", b"0 0 9", b"99 0 0", b"-1 0 0", b'"', b'a,"b', b",,,,", b"1e3 0 1", b"\xef\xbb\xbf",
        b"\xff\xfe", "weiß".encode("latin-1"), "weiß".encode("utf-16"), "青,青 1".encode(), "\u2028\x1c".encode(), b"\xed\xa0\x80",
        "٣ ٣ ٣".encode(), b"9" * 5000 + b" 0 1", LONG.encode(), (LONG + ",").encode() * 2, b"{}", b"[[[", b"../../etc/passwd", b"x://y",
    ]),
    st.binary(max_size=30),
    st.text(max_size=30).map(lambda text: text.encode("utf-8", "surrogatepass")),
)  # fmt: skip
END = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def damaged(draw: st.DrawFn, name: str) -> dict[str, bytes]:
    """The files of a miniature, one to three of whose lines were replaced, doubled, removed or cut, with any line ends."""
    files = {file: text.encode() for file, text in LAYOUTS[name].items()}
    for _ in range(draw(st.integers(1, 3))):
        file = draw(st.sampled_from(sorted(files)))
        lines = re.split(rb"\r\n|\n|\r", files[file])
        place = draw(st.integers(0, len(lines) - 1))
        how = draw(st.sampled_from(["replace", "insert", "remove", "double", "cut", "append"]))
        garbage = draw(GARBAGE)
        lines[place : place + 1] = {
            "replace": [garbage],
            "insert": [garbage, lines[place]],
            "remove": [],
            "double": [lines[place]] * 2,
            "cut": [lines[place][: draw(st.integers(0, 40))]],
            "append": [lines[place] + garbage],
        }[how]
        files[file] = (
            draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + draw(END).join(lines) + draw(st.sampled_from([b"", b"\n"]))
        )
    if draw(st.integers(0, 9)) == 0:
        files.pop(draw(st.sampled_from(sorted(files))))
    return files


def rows_in(content: bytes) -> int:
    """Lines that are not blank."""
    lines = re.split(r"\r\n|\n|\r", content.decode("utf-8-sig"))
    return sum(bool(line) and not line.isspace() for line in lines)


def check(name: str, files: dict[str, bytes]) -> str:
    """Reads `files` and holds the outcome against the promise. Returns: "line" where it was one line, else "rows"."""
    with tempfile.TemporaryDirectory() as top:
        folder = write(Path(top) / "mini", files)
        reader, path = reader_of(name), path_of(name, folder)
        try:
            reader.columns(path)
            reader.taxonomy(path)
            rows = list(reader.rows(path))
        except InputError as error:
            said = str(error)
        else:
            said = ""
    if said:
        assert not set("\n\r") & set(said)
        assert len(said) < 1500
        return "line"
    records = [row for row in rows if isinstance(row, Record)]
    rejects = [row for row in rows if isinstance(row, Reject)]
    assert len(records) + len(rejects) == len(rows)
    assert len({(row.file, row.row) for row in rows}) == len(rows)  # no row speaks twice
    for reject in rejects:
        assert 0 < len(reject.reason) < 500
        assert not set("\n\r\0") & set(reject.reason)
    ACCOUNTS[name](files, records, rejects)
    return "rows"


def account_of_catalogue(files: dict[str, bytes], records: list[Record], rejects: list[Reject]) -> None:
    assert len(records) + len(rejects) == rows_in(files["catalogue.csv"]) - 1


def account_of_fashionai(files: dict[str, bytes], records: list[Record], rejects: list[Reject]) -> None:
    assert len(records) + len(rejects) == sum(rows_in(files[file]) for file in files)


def account_of_deepfashion(files: dict[str, bytes], records: list[Record], rejects: list[Reject]) -> None:
    """A row a photo of the longest list read; one more for every list whose count, in its row 1, is wrong."""
    counts = sum("the count says" in reject.reason for reject in rejects)
    read = ["Anno/list_attr_img.txt", "Eval/list_eval_partition.txt"]
    assert len(records) + len(rejects) - counts == max(rows_in(files[file]) - 2 for file in read)


def account_of_category(files: dict[str, bytes], records: list[Record], rejects: list[Reject]) -> None:
    counts = sum("the count says" in reject.reason for reject in rejects)
    read = ["Anno/list_attr_img.txt", "Eval/list_eval_partition.txt", "Anno/list_category_img.txt"]
    assert len(records) + len(rejects) - counts == max(rows_in(files[file]) - 2 for file in read)


def account_of_lists(files: dict[str, bytes], records: list[Record], rejects: list[Reject]) -> None:
    """Each photo is a record or a reject; each line of the other lists is used by a photo or a reject."""
    refused = Counter(reject.file for reject in rejects)
    for split in ("train", "valid", "test"):
        names = f"filenames_{split}.txt"
        others = {"train": ["label_train.txt"]}.get(split, [f"query_{split}.txt", f"candidate_{split}.txt"])
        if names not in files:
            assert all(refused[file] == (file in files) for file in others)
            continue
        photos = [record for record in records if record.file == names]
        assert len(photos) + refused[names] == rows_in(files[names])
        alone = sum(reject.file == names and "is not in" in reject.reason for reject in rejects)
        with_a_line = len(photos) + refused[names] - alone
        if f"label_{split}.txt" in files:  # asen_all takes the labels from there, and the roles from the two others
            others = [f"label_{split}.txt"]
        assert sum(rows_in(files[file]) - refused[file] for file in others) == with_a_line


ACCOUNTS = {
    "catalogue": account_of_catalogue,
    "fashionai": account_of_fashionai,
    "deepfashion": account_of_deepfashion,
    "deepfashion_category": account_of_category,
    "asen": account_of_lists,
    "asen_all": account_of_lists,
    "darn": account_of_lists,
}
QUICKLY = settings(
    max_examples=60, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)  # the same examples every time: a test that fails only now and then teaches to run it again


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_file_makes_a_traceback_or_loses_a_row(name: str) -> None:
    outcomes: Counter[str] = Counter()

    @QUICKLY
    @given(damaged(name))
    def fuzz(files: dict[str, bytes]) -> None:
        outcomes[check(name, files)] += 1

    fuzz()
    assert min(outcomes["line"], outcomes["rows"]) > 0  # both ends are reached


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("change", [
    pytest.param(lambda text: b"\xef\xbb\xbf" + text, id="a byte order mark"),
    pytest.param(lambda text: text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"), id="Windows line ends"),
    pytest.param(lambda text: text.rstrip(b"\r\n"), id="no last line end"),
    pytest.param(lambda text: text + b"\n\n \n", id="blank lines at the end"),
])  # fmt: skip
def test_what_editors_do_changes_nothing(name: str, change: object, tmp_path: Path) -> None:
    plain = write(tmp_path / "plain" / "mini", LAYOUTS[name])
    edited = write(tmp_path / "edited" / "mini", {file: change(text.encode()) for file, text in LAYOUTS[name].items()})  # type: ignore[operator]
    reader = reader_of(name)
    expected = [row._replace(location="") for row in reader.rows(path_of(name, plain)) if isinstance(row, Record)]
    assert [row._replace(location="") for row in reader.rows(path_of(name, edited)) if isinstance(row, Record)] == expected
    assert expected


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_another_encoding_is_one_line_that_names_file_and_row(name: str, tmp_path: Path) -> None:
    file, text = max(LAYOUTS[name].items(), key=lambda item: (item[0].endswith("label.csv"), "filenames" in item[0], item[0]))
    folder = write(tmp_path / "mini", LAYOUTS[name] | {file: text.encode() + b"\n\xe4\xf6\xfc\n"})
    with pytest.raises(InputError, match=rf"{re.escape(file)} is not UTF-8 in row \d+; save it as UTF-8"):
        list(reader_of(name).rows(path_of(name, folder)))
