"""Spans: photos that arrive in batches, a catalogue each, read as one. TFX's own pattern names them: span-{SPAN}/catalogue.csv.

All spans, and not the newest alone: a release answers with every item that it has ever been given.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from apache_beam.io.filesystems import FileSystems

from components.catalogue_gen.readers.reader import Reader
from components.catalogue_gen.rows import Record, Reject
from components.errors import InputError
from models.taxonomy import Taxonomy

SPAN = "{SPAN}"


class SpanReader:
    """A `Reader` of all spans of a path that holds `SPAN`, through `reader`, the format's own."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def columns(self, path: str) -> list[str]:
        """The attributes of any span; older photos have no label of an attribute that came later."""
        return list(dict.fromkeys(name for _, file in spans(path) for name in self.reader.columns(file)))

    def taxonomy(self, path: str) -> Taxonomy | None:
        """That of the newest span."""
        return self.reader.taxonomy(spans(path)[-1][1])

    def rows(self, path: str) -> Iterator[Record | Reject]:
        """Oldest span first. An id that is only the photo's path is told apart by its span: 2/images/00001.jpg."""
        for span, file in spans(path):
            for row in self.reader.rows(file):
                name = f"span {span}, {row.file}"
                if isinstance(row, Reject):
                    yield row._replace(file=name)
                    continue
                own_path = row.location.endswith(row.id)
                yield row._replace(file=name, span=span, id=f"{span}/{row.id}" if own_path else row.id)


def ranges(numbers: list[int]) -> str:
    """Ascending numbers in few words: "1-3, 7"."""
    starts = [one for one in numbers if one - 1 not in numbers]
    ends = [one for one in numbers if one + 1 not in numbers]
    return ", ".join(f"{start}-{end}" if start < end else str(start) for start, end in zip(starts, ends, strict=True))


def spans(path: str) -> list[tuple[int, str]]:
    """Every span and its file, by number. Raises: InputError where there is none, or one number stands twice (1 and 01)."""
    pattern = re.escape(path).replace(re.escape(SPAN), r"(\d+)", 1).replace(re.escape(SPAN), r"\1")
    listed = [one.path for one in FileSystems.match([path.replace(SPAN, "*")])[0].metadata_list]
    found = sorted((int(match[1]), one) for one in listed if (match := re.fullmatch(pattern, one)))
    if not found:
        raise InputError(f"{path}: no span there; {SPAN} stands for a whole number, such as {path.replace(SPAN, '1')}")
    if twice := [file for (one, _), (other, file) in pairwise(found) if one == other]:
        raise InputError(f"{twice[0]}: this span's number stands there twice; name each span once")
    return found
