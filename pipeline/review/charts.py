"""The small charts of the page as inline SVG; colours and sizes come from the style sheet."""

import math
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

WIDTH, HEIGHT = 600, 96
STACK_WIDTH, STACK_HEIGHT = 320, 84
AXIS = 12
"""Height of the numbers below the curve."""


def score_histogram(
    bars: list[tuple[float, float, int]], low: float | None, high: float | None, flags: list[float]
) -> Markup:
    """Draw slices by image score, logarithmic counts; the bounds of the filter are lines.

    bars: from, to and number of slices, in order and without gaps. flags: thresholds from which slices are
    flagged.
    """
    first, last = bars[0][0], bars[-1][1]
    most = math.log1p(max(count for _, _, count in bars))
    svg = _svg(WIDTH, HEIGHT, "Image scores", _said(bars, low, high, flags))
    svg.set("preserveAspectRatio", "none")  # as wide as the page

    def at(score: float) -> float:
        return (min(max(score, first), last) - first) / (last - first) * WIDTH

    for start, end, count in bars:
        kept = (low is None or end > low) and (high is None or start <= high)
        height = math.log1p(count) / most * (HEIGHT - 8)
        rect = _add(
            svg, "rect", x=at(start), y=HEIGHT - height, width=max(1, at(end) - at(start) - 1), height=height
        )
        rect.set("class", "kept" if kept else "left-out")
        SubElement(rect, "title").text = f"{start:g} to {end:g}: {count:,} slices"
    lines = [("bound", bound) for bound in (low, high) if bound is not None]
    for kind, score in [*(("flag", flag) for flag in flags), *lines]:
        _add(svg, "line", x1=at(score), y1=0, x2=at(score), y2=HEIGHT).set("class", kind)
    return _markup(svg)


def stack_chart(scores: list[float], current: int) -> Markup:
    """Draw the image score along a volume. current: the place of the slice that is shown."""
    low, high = min(scores), max(scores)
    text = (
        f"{len(scores)} slices, scores from {low:.4f} to {high:.4f}; "
        f"slice {current + 1} has {scores[current]:.4f}."
    )
    svg = _svg(STACK_WIDTH, STACK_HEIGHT, "Score along the stack", text)
    floor = STACK_HEIGHT - AXIS

    def at(place: int) -> tuple[float, float]:
        share = (scores[place] - low) / ((high - low) or 1)
        return (place + 0.5) / len(scores) * STACK_WIDTH, floor - 8 - share * (floor - 16)

    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, range(len(scores))))
    x, y = at(current)
    _add(svg, "line", x1=x, y1=0, x2=x, y2=floor).set("class", "current")
    SubElement(svg, "polyline", {"points": points, "class": "line"})
    _add(svg, "circle", cx=x, cy=y, r=4).set("class", "current")
    for side, score, place in ((2, high, 10.0), (2, low, floor - 2)):
        _add(svg, "text", x=side, y=place).text = f"{score:.3f}"
    for side, number, anchor in ((2, 1, "start"), (STACK_WIDTH - 2, len(scores), "end")):
        label = _add(svg, "text", x=side, y=STACK_HEIGHT - 2)
        label.set("text-anchor", anchor)
        label.text = f"slice {number:,}"
    return _markup(svg)


def _said(
    bars: list[tuple[float, float, int]], low: float | None, high: float | None, flags: list[float]
) -> str:
    bounds = [f"from {low:g}" if low is not None else "", f"to {high:g}" if high is not None else ""]
    shown = " ".join(filter(None, bounds)) or "all of them"
    total = sum(count for _, _, count in bars)
    flagged = f" Flagged from {', '.join(f'{flag:g}' for flag in flags)}." if flags else ""
    return f"{total:,} slices with scores from {bars[0][0]:g} to {bars[-1][1]:g}; shown: {shown}.{flagged}"


def _svg(width: int, height: int, title: str, text: str) -> Element:
    name = "-".join(title.lower().split())
    labels = {"role": "img", "aria-labelledby": f"{name}-title {name}-text"}
    svg = Element("svg", {"viewBox": f"0 0 {width} {height}", **labels})
    SubElement(svg, "title", {"id": f"{name}-title"}).text = title
    SubElement(svg, "desc", {"id": f"{name}-text"}).text = text
    return svg


def _add(svg: Element, tag: str, **places: float) -> Element:
    return SubElement(svg, tag, {name: f"{value:.1f}" for name, value in places.items()})


def _markup(svg: Element) -> Markup:
    return Markup(tostring(svg, encoding="unicode"))  # noqa: S704 (the tree has escaped its texts)
