"""Curves and histograms of an evaluation as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import SubElement

import numpy as np
from markupsafe import Markup

from s2sw.pipeline.pages.charts import (
    BOTTOM,
    HISTOGRAM_HEIGHT,
    LEFT,
    Axes,
    as_markup,
    draw_axis_x,
    draw_grid_y,
    draw_label,
    new_svg,
    ticks,
)

TOP = 24
BARS = 40
COLOURS = 8  # CSS classes c0 to c7


@dataclass(frozen=True)
class Line:
    """One curve: a name, and its points in 0..1."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def curve_chart(lines: list[Line], title: str, names: tuple[str, str], text: str) -> Markup:
    """Draw curves over 0..1 in both directions. names: of the axes x and y."""
    svg = new_svg(HISTOGRAM_HEIGHT, title, text)
    axes = Axes((0.0, 1.0), (0.0, 1.0), TOP, HISTOGRAM_HEIGHT - BOTTOM)
    for value in ticks(0.0, 1.0, 4):
        draw_grid_y(svg, axes, value, f"{value:g}")
    draw_label(svg, names[1], LEFT, TOP - 8, "start")
    for number, line in enumerate(lines):
        points = " ".join(f"{axes.at_x(x)},{axes.at_y(y)}" for x, y in zip(line.x, line.y, strict=True))
        drawn = SubElement(svg, "polyline", {"class": f"curve c{number % COLOURS}", "points": points})
        SubElement(drawn, "title").text = line.name
    draw_axis_x(svg, axes, names[0])
    return as_markup(svg)


def label_histogram(normal: Sequence[float], anomalous: Sequence[float], title: str, text: str) -> Markup:
    """Draw how the scores of normal and of anomalous pictures spread, as the share of each label's own."""
    every = [*normal, *anomalous]
    low, high = min(every), max(every)
    high = high if high > low else low + 1e-6
    edges = np.linspace(low, high, BARS + 1)
    shares = [np.histogram(values, edges)[0] / max(len(values), 1) for values in (normal, anomalous)]
    svg = new_svg(HISTOGRAM_HEIGHT, title, text)
    top = float(max(share.max() for share in shares)) * 1.05
    axes = Axes((low, high), (0.0, top), TOP, HISTOGRAM_HEIGHT - BOTTOM)
    for value in ticks(0.0, top, 4):
        draw_grid_y(svg, axes, value, f"{value:.0%}")
    draw_label(svg, "share of the pictures of a label", LEFT, TOP - 8, "start")
    for kind, share in zip(("normal", "anomalous"), shares, strict=True):
        points = [f"{axes.at_x(low)},{axes.at_y(0)}"]
        for left, right, height in zip(edges, edges[1:], share, strict=False):
            points += [f"{axes.at_x(float(edge))},{axes.at_y(float(height))}" for edge in (left, right)]
        points.append(f"{axes.at_x(high)},{axes.at_y(0)}")
        SubElement(svg, "polygon", {"class": f"label-{kind}", "points": " ".join(points)})
    draw_axis_x(svg, axes, "image score")
    return as_markup(svg)
