"""The page as a file: nothing from outside, nothing from data taken for markup, the numbers where they belong."""

import dataclasses
import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from components.errors import InputError
from pipeline.report.page import render
from pipeline.report.run_folder import read
from tests.pipeline.report_pages import contents

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&{{7*7}}"
VOID = {"meta", "link", "img"}


class Parsed(HTMLParser):
    """Every element with its attributes, and the text of each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and f"/{tag}" != "/path":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} closes another element"

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(" ".join(data.split()))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("other", ["", "theirs"])
def test_hostile_names_stay_text(other: str) -> None:
    page = Parsed(render(contents(HOSTILE, other=other)))
    assert len(page.named("script")) == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not page.open, "an element stays open"
    assert f"class 0 {HOSTILE}" in page.texts
    assert any(HOSTILE in text for text in page.texts if text.startswith("reason"))
    assert f"train: lost {HOSTILE}" in page.texts
    assert f"candidate 0 {HOSTILE}" in {figure.get("title") for figure in page.named("figure")}


@pytest.mark.parametrize("other", ["", "theirs"])
def test_nothing_comes_from_outside(other: str) -> None:
    page = Parsed(render(contents(other=other)))
    places = [a[key] for _, a in page.elements for key in ("src", "href", "srcset", "action", "data") if key in a]
    assert places
    assert not [place for place in places if not place.startswith(("data:", "#"))]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {place[1:] for place in places if place.startswith("#")} <= set(ids)
    style = next(text for text in page.texts if "color-scheme" in text)
    assert "url(" not in style
    assert "@import" not in style


def test_every_picture_has_words_and_every_mark_too() -> None:
    page = Parsed(render(contents()))
    assert all("alt" in image for image in page.named("img"))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in page.named("svg"))
    marks, words = page.texts.count("✓"), page.texts.count("right:")
    assert marks == words > 0
    assert page.texts.count("✗") == page.texts.count("wrong:") > 0


def rows(page: str, label: str) -> list[list[str]]:
    """The cells of the table in the region called `label`."""
    table = re.search(rf'aria-label="{label}">(.*?)</table>', page, re.DOTALL)
    assert table
    cells = [
        re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", table[1], re.DOTALL)
    ]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in cells]


def test_the_table_holds_the_results_and_intervals_where_known() -> None:
    plain = rows(render(contents()), "Table of results")
    assert plain[1] == ["attribute 0", "50.00", "60.00", "70.00", "20.00", "4", "12"]
    assert plain[-1][:2] == ["overall", "43.21"]
    known = rows(render(contents(map_interval=[0.4, 0.61])), "Table of results")
    assert known[1][1] == "50.00 [40.00, 61.00]"


def test_what_is_odd_about_the_labels_stands_in_their_section_as_text() -> None:
    page = render(made := contents(HOSTILE))
    (finding,) = made.run.findings
    found = rows(page, "Findings about the labels")
    assert [[html.unescape(cell) for cell in row] for row in found] == [
        ["kind", "split", "attribute", "finding"],
        [*finding.values()],
    ]
    assert page.index("<h3>Labels</h3>") < page.index(str(escape(finding["text"])))
    nothing = render(dataclasses.replace(made, run=dataclasses.replace(made.run, findings=())))
    assert "Findings about the labels" not in nothing
    assert "No drift from an earlier run or span, no skew between splits, nothing against the schema." in nothing


def test_published_rows_stand_beside_a_data_set_of_that_name_alone() -> None:
    assert "as published" not in render(contents(dataset="sample"))
    found = rows(render(contents(dataset="DARN")), "Table of published results")
    m3net = next(row for row in found if row[0] == "M3-Net, as published")
    assert m3net[1:6] == ["attribute", "72.42", "82.69", "31.34", "60.54"]
    assert found[-1][:5] == ["m3net+, this run", "attribute", "43.21", "60.00", "70.00"]
    later = next(row for row in found if row[0].startswith("RPF"))
    assert later[2:5] == ["58.80", "–", "–"]


def test_a_second_system_has_its_own_row_under_every_query() -> None:
    made = contents(other="theirs")
    page = render(made)
    answers = sum(len(part.drawn) + len(part.hardest) for part in made.parts)
    assert page.count('<ol class="row">') == 2 * answers
    table = rows(page, "Table of differences")
    overall = made.compared[-1]
    low, high = (f"{100 * value:+.2f}" for value in (overall.test.low, overall.test.high))
    assert table[-1][1:5] == [
        f"{100 * overall.first:.2f}", f"{100 * overall.second:.2f}",
        f"{100 * (overall.first - overall.second):+.2f} [{low}, {high}]", f"{overall.test.p:.3f}",
    ]  # fmt: skip
    assert overall.test.low <= overall.first - overall.second <= overall.test.high


def test_classes_stand_in_their_attribute_and_other_cuts_beside_the_results() -> None:
    made = contents()
    values = {**made.run.results["overall"], "map_interval": [0.1, 0.2]}
    name = made.parts[1].name
    places = [("class", "boat", name), ("class", "v", name), ("gender", "men", "overall"), ("gender", "men", name)]
    cuts = [
        {"slice": by, "value": value, "attribute": of, **values, "map": 0.3 - i / 10}
        for i, (by, value, of) in enumerate(places)
    ]
    made.run.results["slices"] = cuts
    page = render(made)
    assert [row[0] for row in rows(page, "Class by class, the lowest MAP first")[1:]] == ["v", "boat"]
    assert rows(page, "By gender")[1:] == [["men", "10.00 [10.00, 20.00]", "60.00", "70.00", "20.00", "4"]]
    assert page.count("Class by class") == 2  # heading and label of the one attribute that has them


def test_a_photo_that_is_not_stored_is_said_to_be_none() -> None:
    made = contents()
    gone = {photo for part in made.parts for photo in part.photos()} - set(made.thumbnails)
    assert gone
    assert "no photo here" in render(made)


def test_the_balance_and_near_duplicates_are_shown() -> None:
    page = render(contents())
    assert "<dt>rows</dt><dd>1,292</dd>" in page  # 1,234 + 56 + 2 rejected
    assert "5 pairs of photos look like one picture stored twice, 1 of them in two splits" in page
    assert "Here are 1" in page


def test_a_folder_without_a_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give the --output of a run"):
        read(tmp_path)
