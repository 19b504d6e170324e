"""Charts as SVG text: no library and no pixels, so that they follow the page's colours. Every name in them is escaped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from pipeline.report.calibration import Calibration

_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 10, 10, 34
_FEW = 10  # photos in a bin of the reliability diagram


@dataclass(frozen=True)
class Line:
    """One curve: its name, for the legend, and points (x, y)."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Frame:
    """A drawing area of `width` x `height` units that shows x from `low` to `high` and y from 0 to `top`."""

    width: int
    height: int
    low: float
    high: float
    top: float

    def x(self, value: float) -> float:
        """Units from the left."""
        return round(_LEFT + (value - self.low) / (self.high - self.low) * (self.width - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        """Units from the top."""
        return round(self.height - _BOTTOM - value / self.top * (self.height - _TOP - _BOTTOM), 1)

    def draw(self, parts: Sequence[Markup], across: str, ticks: Sequence[float], label: str) -> Markup:
        """The whole SVG: grid, `ticks` and name of the x axis, then `parts`."""
        grid = [self._level(share * self.top) for share in (0, 0.5, 1)]
        under = [self._text(self.x(x), self.height - 19, "middle", f"{x:g}") for x in ticks]
        name = self._text((self.width + _LEFT - _RIGHT) / 2, self.height - 4, "middle", across)
        body = Markup("").join([*grid, *under, name, *parts])
        svg = '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
        return Markup(svg).format(self.width, self.height, label, body)

    def _level(self, value: float) -> Markup:
        y = self.y(value)
        grid = Markup('<line class="grid" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(_LEFT, y, self.width - _RIGHT, y)
        return grid + self._text(_LEFT - 5, y + 4, "end", f"{value:g}")

    @staticmethod
    def _text(x: float, y: float, anchor: str, text: str) -> Markup:
        return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(x, y, anchor, text)


def curves(lines: Sequence[Line], across: str, label: str, mark: float | None = None) -> Markup:
    """Lines over whole numbers such as epochs; told apart by dashes too (page.css). `mark` is an x to point out."""
    places = [x for one in lines for x, _ in one.points]
    low, high = min(places), max(max(places), min(places) + 1)
    frame = _Frame(360, 210, low, high, round_up(max(y for one in lines for _, y in one.points)))
    parts = []
    if mark is not None:
        parts.append(_path("mark", [(frame.x(mark), frame.y(0)), (frame.x(mark), frame.y(frame.top))]))
    for i, one in enumerate(lines):
        points = [(frame.x(x), frame.y(y)) for x, y in one.points]
        parts.append(_path(f"line l{i}", points if len(points) > 1 else _dash(*points[0])))
    middle = round((low + high) / 2)
    return frame.draw(parts, across, sorted({low, middle, high}), label)


def reliability(found: Calibration, label: str) -> Markup:
    """Accuracy over confidence in percent: a bar a bin, from which the diagonal of a calibrated model is missed."""
    frame = _Frame(240, 210, 0, 100, 100)
    parts = []
    for one in found.bins:
        # Two pixels at least: a bin that is wrong throughout is there too.
        x, y = frame.x(100 * one.low), min(frame.y(100 * one.accuracy), frame.y(0) - 2)
        size = (frame.x(100 * one.high) - x - 1, frame.y(0) - y)
        photos = f"{one.photos} photo{'s' * (one.photos != 1)}"
        title = f"{100 * one.low:.0f} to {100 * one.high:.0f} %: {photos}, accuracy {100 * one.accuracy:.2f} %"
        bar = '<rect class="{}" x="{}" y="{}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
        # A bin of next to no photos says next to nothing, and is drawn so.
        parts.append(Markup(bar).format("bar" if one.photos >= _FEW else "bar few", x, y, *size, title))
    parts.append(_path("mark", [(frame.x(0), frame.y(0)), (frame.x(100), frame.y(100))]))
    return frame.draw(parts, "confidence", (0, 50, 100), label)


def round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten: an axis that ends on a number people read. 1 for 0 and below."""
    if value <= 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * (1 - 1e-9))


def _dash(x: float, y: float) -> list[tuple[float, float]]:
    """A line through one point alone would show nothing."""
    return [(x - 3, y), (x + 3, y)]


def _path(kind: str, points: Sequence[tuple[float, float]]) -> Markup:
    return Markup('<polyline class="{}" points="{}"/>').format(kind, " ".join(f"{x},{y}" for x, y in points))
