"""Charts as inline SVG: readable in light and dark, printable, without a script.

A chart is a frame with two axes, to which marks are added in the units of the data. Values appear
as ``<title>`` when the pointer rests on a mark. The page's style sheet sets colours of text and
grid, see ``templates/page.html.j2``.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

SERIES = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
"""Colours of Okabe and Ito, which differ for all common kinds of colour vision."""

GRAY = "#8a929b"

_DASHES = ("", "8 4", "2 3", "8 3 2 3")
_MARKERS = (  # paths around the origin
    "M-4 0A4 4 0 1 0 4 0A4 4 0 1 0-4 0Z",
    "M-3.6-3.6H3.6V3.6H-3.6Z",
    "M0-5L5 0L0 5L-5 0Z",
    "M0-5L5 4H-5Z",
    "M-5-1.6H-1.6V-5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5Z",
    "M0 5L5-4H-5Z",
)
_CHARACTER = 6.4  # mean width in pixels at the font size of the style sheet
_TOP = 18  # pixels above the axes, for a text at the top
_LONGEST = 34  # characters of a label; longer ones end in an ellipsis

Point = tuple[float, float]


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high``, with ticks of a value and a label each."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    title: str = ""
    is_log: bool = False

    def share(self, value: float) -> float:
        """Return where a value lies, 0 (low) to 1 (high)."""
        low, high, at = (
            map(math.log10, (self.low, self.high, value))
            if self.is_log
            else (self.low, self.high, value)
        )
        return (at - low) / (high - low)


def linear_axis(values: Iterable[float], title: str = "", *, from_zero: bool = True) -> Axis:
    """Return an axis that covers values and ends at round numbers."""
    known = [*values, *([0.0] if from_zero else [])] or [0.0]
    low, high = min(known), max(known)
    if high - low < 1e-9:
        high = low + 1
    size = 10 ** math.floor(math.log10((high - low) / 5))
    step = next(f * size for f in (1, 2, 2.5, 5, 10) if (high - low) / (f * size) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple((n * step, f"{n * step:.4g}") for n in range(first, last + 1))
    return Axis(ticks[0][0], ticks[-1][0], ticks, title)


def log_axis(values: Sequence[float], title: str = "") -> Axis:
    """Return a logarithmic axis that covers positive values, with ticks at 1, 2 and 5."""
    low, high = min(values) / 1.3, max(values) * 1.3
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    ticks = (f * 10**p for p in powers for f in (1, 2, 5))
    return Axis(low, high, tuple((t, f"{t:g}") for t in ticks if low <= t <= high), title, True)


def category_axis(names: Sequence[str], title: str = "") -> Axis:
    """Return an axis with the names at 0, 1, 2, ..."""
    return Axis(-0.5, len(names) - 0.5, tuple(enumerate(names)), title)


class Chart:
    """A frame with axes, to which marks are added.

    Args:
        name: Id of the element, unique on the page.
        x: Horizontal axis.
        y: Vertical axis; its low end is at the bottom, unless ``is_downward``.
        width: Pixels at full size; smaller screens scale the chart down.
        height: Pixels of the area inside the axes.
        grid: Axes that have grid lines, such as "xy".
        is_downward: If True, the vertical axis runs from top to bottom.
    """

    def __init__(
        self,
        name: str,
        x: Axis,
        y: Axis,
        *,
        width: int = 560,
        height: int = 250,
        grid: str = "y",
        is_downward: bool = False,
    ) -> None:
        self.name, self.x, self.y = name, x, y
        self.width, self.height, self.is_downward = width, height, is_downward
        longest = max((_width(label) for _, label in y.ticks), default=0)
        self.left = 12 + longest + (18 if y.title else 0)
        self.inner = width - self.left - 14
        widths = [_width(label) for _, label in x.ticks]
        self.is_turned = max(widths, default=0) + 4 > self.inner / max(1, len(widths))
        self.bottom = (10 + 0.65 * max(widths, default=0) if self.is_turned else 20) + 2
        self.marks: list[str] = []
        self.entries: list[tuple[str, str]] = []
        self._draw_axes(grid)

    def at(self, x: float, y: float) -> Point:
        """Return the position of a point in pixels."""
        up = self.y.share(y) if self.is_downward else 1 - self.y.share(y)
        return self.left + self.x.share(x) * self.inner, _TOP + up * self.height

    def line(
        self,
        points: Sequence[tuple[float, float | None]],
        title: str,
        index: int = 0,
        *,
        has_markers: bool = True,
        texts: Sequence[str] = (),
    ) -> None:
        """Add a line; a missing value (None) leaves a gap.

        Args:
            points: (x, y) from left to right.
            title: Name in the legend, none if empty.
            index: Number of the series, which gives its colour, dashes and markers.
            has_markers: If True, each point is marked.
            texts: Text that each point shows when the pointer rests on it.
        """
        colour = SERIES[index % len(SERIES)]
        look = f'fill="none" stroke="{colour}" stroke-width="2.2"'
        if dashes := _DASHES[index % len(_DASHES)]:
            look += f' stroke-dasharray="{dashes}"'
        run: list[str] = []
        for x, y in (*points, (0, None)):
            if y is not None:
                run.append("{:.1f},{:.1f}".format(*self.at(x, y)))
            elif run:
                self.marks.append(f'<polyline {look} points="{" ".join(run)}"/>')
                run = []
        shape = _MARKERS[index % len(_MARKERS)] if has_markers else ""
        for number, (x, y) in enumerate(points):
            if y is not None and (shape or texts):
                text = texts[number] if texts else f"{title}: {y:.1f}"
                self.marker((x, y), text, colour, shape)
        if title:
            marker = f'<path fill="{colour}" transform="translate(15 7)" d="{shape}"/>'
            key = f'<path {look} d="M1 7H29"/>{marker if shape else ""}'
            self.entries.append((title, key))

    def marker(
        self, at: Point, text: str, colour: str, shape: str = _MARKERS[0], more: str = ""
    ) -> None:
        """Add a marker; one without a shape is invisible but has a text."""
        look = f'fill="{colour}"{more}' if shape else 'fill="transparent"'
        place = "translate({:.1f} {:.1f})".format(*self.at(*at))
        d = shape or "M-5-5H5V5H-5Z"
        self.marks.append(f'<path {look} transform="{place}" d="{d}">{_title(text)}</path>')

    def scatter(
        self,
        points: Sequence[Point],
        texts: Sequence[str],
        title: str,
        colour: str,
        *,
        index: int = 0,
        more: str = "",
    ) -> None:
        """Add markers of one series, with an entry in the legend."""
        shape = _MARKERS[index]
        for point, text in zip(points, texts, strict=True):
            self.marker(point, text, colour, shape, more)
        if title:
            key = f'<path fill="{colour}"{more} transform="translate(15 7)" d="{shape}"/>'
            self.entries.append((title, key))

    def bar(
        self, low: Point, high: Point, text: str, colour: str = SERIES[0], opacity: float = 1
    ) -> None:
        """Add a rectangle between two corners, in the units of the data."""
        (x0, y0), (x1, y1) = self.at(*low), self.at(*high)
        left, top = min(x0, x1), min(y0, y1)
        place = f'x="{left:.1f}" y="{top:.1f}" width="{abs(x1 - x0):.1f}"'
        place += f' height="{abs(y1 - y0):.1f}" fill="{colour}"'
        if opacity < 1:
            place += f' fill-opacity="{opacity:.3f}"'
        self.marks.append(f"<rect {place}>{_title(text)}</rect>")

    def rule(
        self, start: Point, end: Point, colour: str, *, dashes: str = "", width: float = 1.5
    ) -> None:
        """Add a straight line between two points."""
        (x0, y0), (x1, y1) = self.at(*start), self.at(*end)
        look = f'stroke="{colour}" stroke-width="{width:g}"'
        if dashes:
            look += f' stroke-dasharray="{dashes}"'
        self.marks.append(f'<path fill="none" {look} d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>')

    def text(
        self, at: Point, text: str, *, dx: float = 0, dy: float = 4, anchor: str = "middle"
    ) -> None:
        """Add a text ``dx`` pixels to the right of a point and ``dy`` pixels below it."""
        x, y = self.at(*at)
        self.marks.append(_text(x + dx, y + dy, text, anchor))

    def html(self, note: str = "") -> Markup:
        """Return the chart and its legend as HTML; ``note`` names it for screen readers."""
        height = _TOP + self.height + self.bottom + (18 if self.x.title else 0)
        size = f'viewBox="0 0 {self.width} {height:.0f}" style="max-width: {self.width}px"'
        label = escape(note or self.name)
        svg = f'<svg {size} role="img" aria-label="{label}">{"".join(self.marks)}</svg>'
        keys = "".join(
            f'<li><svg width="30" height="14" aria-hidden="true">{key}</svg>{escape(title)}</li>'
            for title, key in self.entries
        )
        legend = f"<ul>{keys}</ul>" if keys else ""
        return Markup(f'<div class="chart" id="{escape(self.name)}">{svg}{legend}</div>')

    def _draw_axes(self, grid: str) -> None:
        for value, label in self.y.ticks:
            (left, y), (right, _) = self.at(self.x.low, value), self.at(self.x.high, value)
            if "y" in grid:
                self.marks.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
            self.marks.append(_text(left - 7, y + 4, label, "end"))
        base = _TOP + self.height
        for value, label in self.x.ticks:
            x, _ = self.at(value, self.y.low)
            if "x" in grid:
                self.marks.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{base:.1f}"/>')
            if self.is_turned:
                turn = f' transform="rotate(-40 {x:.1f} {base + 12:.1f})"'
                self.marks.append(_text(x, base + 12, label, "end", turn))
            else:
                self.marks.append(_text(x, base + 17, label, "middle"))
        if self.y.title:
            y = _TOP + self.height / 2
            turn = f' transform="rotate(-90 12 {y:.1f})"'
            self.marks.append(_text(12, y, self.y.title, "middle", turn))
        if self.x.title:
            x = self.left + self.inner / 2
            self.marks.append(_text(x, base + self.bottom + 13, self.x.title, "middle"))


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    shown = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    full = _title(text) if shown != text else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{full}{escape(shown)}</text>'
    )


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _width(text: str) -> float:
    return _CHARACTER * min(len(text), _LONGEST)
