"""report.html: what a run came to, as one file without outside parts.

It is made after the run and not by the evaluator: the training curves, the rejects and every component's seconds are
the run's, and known only when it is over.
"""

import base64
import hashlib
from pathlib import Path

import jinja2

from pipeline.progress import spoken
from pipeline.published import published, same_attribute
from pipeline.report import charts, curves, cuts
from pipeline.report.confusions import MATRIX_UP_TO
from pipeline.report.contents import Contents, gather
from pipeline.report.ranking import NEAREST

FILE = "report.html"
_HERE = Path(__file__).parent


def write(folder: Path, other: Path | None = None) -> Path:
    """Writes `folder`/report.html from the last evaluation there, beside that of `other` if given; returns its path.

    Raises: InputError where either holds no evaluation, or the two have no query in common.
    """
    text = render(gather(folder, other))
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder / FILE


def render(contents: Contents) -> str:
    """The page. Whatever comes from data is escaped by the template; its policy forbids any script but ours as well."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, seconds=spoken)
    script, style = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.js", "page.css"))
    return environment.get_template("page.html.jinja").render(
        vars(contents),
        results=contents.run.results,
        published=published(contents.run.results["dataset"]),
        same_attribute=same_attribute,
        charts=charts,
        curves=curves,
        kept=curves.kept_epoch(contents.history),
        nearest=NEAREST,
        classes_of=lambda attribute: cuts.classes_of(contents.run.results, attribute),
        cuts=cuts.by_column(contents.run.results),
        matrix_up_to=MATRIX_UP_TO,
        script=script,
        style=style,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def percent(fraction: float) -> str:
    """A fraction as every table of ours prints it: percent with two decimals."""
    return f"{100 * fraction:.2f}"
