"""Charts as inline SVG: no script, nothing fetched, colours from the page, a text for who cannot see them.

Elements are built as a tree, so that whatever text comes in is escaped.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

WIDTH, LEFT, RIGHT, BOTTOM = 720, 58, 14, 40
HISTOGRAM_HEIGHT, HISTOGRAM_TOP = 300, 62
RATE_HEIGHT, RATE_TOP = 160, 12
MARKER_ROWS = 14  # pixels between the labels of two markers
FINEST = 1e-9  # a range below it has one tick: labels would not tell more apart
ONE = 0.7  # the log axis starts below 1, so that a single slice is seen


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram: its edges, all slices in it, and those of the run."""

    low: float
    high: float
    count: int
    own: int


@dataclass(frozen=True)
class Axes:
    """From values to pixels. x and y are pairs of lowest and highest value."""

    x: tuple[float, float]
    y: tuple[float, float]
    top: int
    bottom: int

    def at_x(self, value: float) -> float:
        """Return the pixel column of a value."""
        share = (value - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)

    def at_y(self, value: float) -> float:
        """Return the pixel row of a value."""
        share = (value - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return round(self.bottom - share * (self.bottom - self.top), 2)


def score_chart(bars: list[Bar], markers: list[tuple[str, float]], title: str, text: str) -> Markup:
    """Draw a histogram with logarithmic counts. markers: names and places of vertical lines."""
    most = max(bar.count for bar in bars)
    span = (math.log10(ONE), math.log10(max(most, 10) * 1.15))
    axes = Axes((bars[0].low, bars[-1].high), span, HISTOGRAM_TOP, HISTOGRAM_HEIGHT - BOTTOM)
    svg = new_svg(HISTOGRAM_HEIGHT, title, text)
    for power in range(math.floor(span[1]) + 1):
        draw_grid_y(svg, axes, power, f"{10**power:,}")
    draw_label(svg, "slices", LEFT, HISTOGRAM_TOP - 8, "start")
    for bar in bars:
        hint = f"{bar.low:g} to {bar.high:g}: {bar.count:,} slices, {bar.own:,} of this run"
        for kind, count in (("all", bar.count), ("own", bar.own)):
            if count:
                _bar(svg, axes, bar, math.log10(count), kind, hint)
    draw_axis_x(svg, axes, "image score")
    rows = [14 + MARKER_ROWS * (place % 4) for place in range(len(markers))]
    for (_, value), row in zip(markers, rows, strict=True):
        draw_line(svg, "marker", (axes.at_x(value), row + 3), (axes.at_x(value), axes.bottom))
    for (name, value), row in zip(markers, rows, strict=True):  # above all lines
        _marker_label(svg, axes.at_x(value), row, f"{name} {value:.4f}")
    return as_markup(svg)


def rate_chart(spans: list[tuple[float, float, float]], title: str, text: str) -> Markup:
    """Draw a rate per second over time as steps. spans: start and end in seconds, and the rate between."""
    most = max((rate for _, _, rate in spans), default=0.0) or 1.0
    scale, unit = _time_unit(spans[-1][1])
    axes = Axes((0.0, spans[-1][1] / scale), (0.0, most * 1.1), RATE_TOP, RATE_HEIGHT - BOTTOM)
    svg = new_svg(RATE_HEIGHT, title, text)
    for value in ticks(0.0, most * 1.1, 3):
        draw_grid_y(svg, axes, value, f"{value:g}")
    points = [f"{axes.at_x(spans[0][0] / scale)},{axes.at_y(0)}"]
    for start, end, rate in spans:
        points += [f"{axes.at_x(edge / scale)},{axes.at_y(rate)}" for edge in (start, end)]
    points.append(f"{axes.at_x(spans[-1][1] / scale)},{axes.at_y(0)}")
    SubElement(svg, "polygon", {"class": "area", "points": " ".join(points)})
    SubElement(svg, "polyline", {"class": "line", "points": " ".join(points[1:-1])})
    draw_axis_x(svg, axes, f"{unit} since screening began")
    return as_markup(svg)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round values in low..high, at most one more than asked for."""
    if high - low < FINEST:
        return [low]
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 10) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def _time_unit(seconds: float) -> tuple[float, str]:
    if seconds < 180:
        return 1, "seconds"
    return (60, "minutes") if seconds < 3 * 3600 else (3600, "hours")


def new_svg(height: int, title: str, text: str) -> Element:
    """Return an empty drawing with its title, and its text for who cannot see it."""
    name = "-".join(title.lower().split())
    svg = Element(
        "svg",
        {"viewBox": f"0 0 {WIDTH} {height}", "role": "img", "aria-labelledby": f"{name}-title {name}-text"},
    )
    SubElement(svg, "title", {"id": f"{name}-title"}).text = title
    SubElement(svg, "desc", {"id": f"{name}-text"}).text = text
    return svg


def _bar(svg: Element, axes: Axes, bar: Bar, height: float, kind: str, hint: str) -> None:
    left, right, top = axes.at_x(bar.low), axes.at_x(bar.high), axes.at_y(height)
    place = {"x": left, "y": top, "width": max(1.0, right - left - 1), "height": axes.bottom - top}
    rect = SubElement(svg, "rect", {"class": kind, **{key: f"{value:.2f}" for key, value in place.items()}})
    SubElement(rect, "title").text = hint


def _marker_label(svg: Element, x: float, row: int, text: str) -> None:
    room = x < WIDTH - 110
    draw_label(svg, text, x + (4 if room else -4), row, "start" if room else "end")


def draw_grid_y(svg: Element, axes: Axes, value: float, text: str) -> None:
    """Draw a horizontal line at a value and write its text beside it."""
    y = axes.at_y(value)
    draw_line(svg, "grid", (LEFT, y), (WIDTH - RIGHT, y))
    draw_label(svg, text, LEFT - 6, y + 4, "end")


def draw_axis_x(svg: Element, axes: Axes, name: str) -> None:
    """Draw the horizontal axis with round values and its name."""
    draw_line(svg, "axis", (LEFT, axes.bottom), (WIDTH - RIGHT, axes.bottom))
    for value in ticks(*axes.x, 6):
        x = axes.at_x(value)
        draw_line(svg, "axis", (x, axes.bottom), (x, axes.bottom + 4))
        draw_label(svg, f"{value:g}", x, axes.bottom + 17, "middle")
    draw_label(svg, name, (LEFT + WIDTH - RIGHT) / 2, axes.bottom + 34, "middle")


def draw_line(svg: Element, kind: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw a line of a CSS class between two points, pixels."""
    places = dict(zip(("x1", "y1", "x2", "y2"), _numbers(*start, *end), strict=True))
    SubElement(svg, "line", {"class": kind, **places})


def draw_label(svg: Element, text: str, x: float, y: float, anchor: str) -> None:
    """Write a text at a point, pixels; anchor: start, middle or end."""
    place = dict(zip(("x", "y"), _numbers(x, y), strict=True))
    SubElement(svg, "text", {**place, "text-anchor": anchor}).text = text


def _numbers(*values: float) -> Iterator[str]:
    return (f"{value:.2f}" for value in values)


def as_markup(svg: Element) -> Markup:
    """Return the drawing as text that needs no escaping."""
    return Markup(tostring(svg, encoding="unicode"))  # noqa: S704 (the tree has escaped its texts)
