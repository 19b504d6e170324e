"""The report of a real run, and what a real browser makes of it."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.page import render
from pipeline.report.run_folder import read
from tests.e2e.browser import BINARY, Page, browser
from tests.e2e.conftest import m3net
from tests.pipeline.report_pages import contents
from tests.pipeline.slow_answers import slow_answer
from tests.slow_metrics import rows_of

pytestmark = pytest.mark.slow
needs_browser = pytest.mark.skipif(BINARY is None, reason="no Chromium here; apt-get install chromium")


def test_a_run_leaves_its_report_with_everything_in_it(output: Path) -> None:
    page = (output / "report.html").read_text()
    results = json.loads((output / "results.json").read_text())
    for name, values in results["attributes"].items():
        assert f"{name}: {100 * values['map']:.2f} % MAP@all" in page
    for part in ("Hardest queries", "Where m3net+ looked", "ECE", "Loss and its parts", "No row was rejected", "Trainer"):
        assert part in page
    assert page.count("data:image/jpeg") > 100
    assert "no photo here" not in page


def test_the_galleries_of_the_page_are_those_of_the_parquet(output: Path) -> None:
    """Read back from the HTML: ids in order, marks and average precision, against a slow recomputation."""
    rows = rows_of(sorted(read(output).embeddings.glob("*.parquet")))
    page = (output / "report.html").read_text()
    checked = 0
    for attribute, part in re.findall(
        r'<div id="attribute-\d+" class="attribute">\s*<h3>([^:]+):(.*?)<h4>Confusions', page, re.DOTALL
    ):
        for answer in part.split('<div class="answer">')[1:]:
            query, *shown = re.findall(r'<figure title="([^"]+)">', answer)
            row = next(r for r in rows if (r["attribute"], r["id"]) == (attribute, query))
            ids, right, precision = slow_answer(rows, row, set(row["labels"]))
            assert shown == ids[: len(shown)]
            assert re.findall(r'class="hidden">(\w+):', answer) == ["right" if hit else "wrong" for hit in right[: len(shown)]]
            assert f"average precision {100 * precision:.2f} %" in answer
            checked += 1
    assert checked > 20


def test_a_moved_run_still_has_a_report_and_compares_with_itself(output: Path, tmp_path: Path) -> None:
    shutil.copytree(output, tmp_path / "moved")
    (tmp_path / "moved" / "report.html").unlink()
    done = m3net("report", str(tmp_path / "moved"), "--compare", str(output))
    assert done.stdout.strip() == str(tmp_path / "moved" / "report.html")
    page = (tmp_path / "moved" / "report.html").read_text()
    differences = re.findall(r"<td>([+-]\d+\.\d\d) <small>", page)
    assert set(differences) == {"+0.00"}
    assert "Their galleries differ" not in page


def test_the_seconds_of_a_step_are_those_of_its_own_run_even_from_cache(output: Path) -> None:
    steps = {step.name: step for step in read(output).steps}
    assert {"CatalogueGen", "Trainer", "Embedder", "RetrievalEvaluator"} <= set(steps)
    assert steps["Trainer"].seconds > 1  # from cache it would be hundredths


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(
        render(contents("<script>document.title='mine'</script>", dataset="FashionAI", other="theirs")), encoding="utf-8"
    )
    return path


FOCUSED = "document.activeElement.className || document.activeElement.textContent.trim().slice(0, 11)"
TABS = "[...document.querySelectorAll('[role=tab]')]"
PANELS = "[...document.querySelectorAll('.attribute')].map(p => p.offsetHeight > 0)"


@needs_browser
def test_it_asks_for_nothing_and_runs_no_script_but_its_own(tab: Page, page: Path) -> None:
    tab.screen(1280, 900)
    tab.requested.clear()
    tab.errors.clear()
    tab.open(page)
    assert [address for address in tab.requested if not address.startswith("data:")] == [page.as_uri()]
    assert not tab.errors
    assert tab.evaluate("document.title") == "m3net+ on FashionAI"


@needs_browser
def test_every_part_is_reached_by_keyboard_and_focus_is_seen(tab: Page, page: Path) -> None:
    tab.screen(1280, 900)
    tab.open(page)
    tab.press("Tab")
    assert tab.evaluate(FOCUSED) == "skip"
    assert tab.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    assert tab.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
    for _ in range(20):
        tab.press("Tab")
        if tab.evaluate("document.activeElement.getAttribute('role')") == "tab":
            break
    assert tab.evaluate(FOCUSED) == "attribute 0"
    assert tab.evaluate(PANELS) == [True, False, False]
    for key, shown in (("ArrowRight", 1), ("End", 2), ("ArrowRight", 0), ("ArrowLeft", 2), ("Home", 0)):
        tab.press(key)
        assert tab.evaluate(PANELS) == [i == shown for i in range(3)], key
        assert tab.evaluate(FOCUSED) == f"attribute {shown}"
        assert tab.evaluate(f"{TABS}.map(t => t.getAttribute('aria-selected'))") == [str(i == shown).lower() for i in range(3)]
    tab.press("Tab")
    assert tab.evaluate(FOCUSED) == "attribute"  # the panel, not the next tab


@needs_browser
def test_without_its_script_and_on_paper_every_part_is_shown(tab: Page, page: Path) -> None:
    tab.open(page)
    tab.screen(800, 900, media="print")
    assert tab.evaluate(PANELS) == [True, True, True]
    tab.screen(800, 900)
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(page)
        assert tab.evaluate(PANELS) == [True, True, True]
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)


@needs_browser
@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_no_screen_is_too_narrow(tab: Page, page: Path, width: int) -> None:
    tab.screen(width, 800)
    tab.open(page)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


# Of every element with text of its own: its colour over the first opaque colour beneath it, as WCAG 2 computes it.
CONTRASTS = """
(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = colour => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = rgb => rgb.slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const beneath = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] == 255) return c; } };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim());
    if (!own || !e.checkVisibility() || e.closest('script, .hidden')) continue;
    const style = getComputedStyle(e), ink = rgba(e.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(ink), light(beneath(e))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), e.tagName + '.' + e.className, e.textContent.slice(0, 30)]);
  }
  return found;
})()
"""


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_colour_schemes(tab: Page, page: Path, scheme: str) -> None:
    tab.screen(1280, 900, scheme)
    tab.open(page)
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    found: list[Any] = tab.evaluate(CONTRASTS)
    assert len(found) > 200
    assert not [one for one in found if one[0] < 4.5]
