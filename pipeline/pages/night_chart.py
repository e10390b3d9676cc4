"""Histograms over nights as inline SVG: a column a night, darker where more of its objects lie."""

from collections.abc import Sequence
from datetime import date
from xml.etree.ElementTree import SubElement

from markupsafe import Markup

from s2sw.pipeline.pages.charts import BOTTOM, LEFT, RIGHT, WIDTH, as_markup, draw_label, new_svg

HEIGHT, TOP = 180, 12


def night_chart(
    days: Sequence[date],
    edges: Sequence[float],
    shares: Sequence[Sequence[float]],
    title: str,
    text: str,
) -> Markup:
    """Draw histograms over days. shares: of each day the share of its objects between two edges, 0..1."""
    svg = new_svg(HEIGHT, title, text)
    floor = HEIGHT - BOTTOM
    across, down = (WIDTH - LEFT - RIGHT) / len(days), (floor - TOP) / (len(edges) - 1)
    most = max(share for column in shares for share in column) or 1.0
    for place, (day, column) in enumerate(zip(days, shares, strict=True)):
        for bin_, share in enumerate(column):
            if share:
                rect = SubElement(
                    svg, "rect", {
                        "class": "own", "x": f"{LEFT + place * across:.2f}", "width": f"{across:.2f}",
                        "y": f"{floor - (bin_ + 1) * down:.2f}", "height": f"{down:.2f}",
                        "opacity": f"{0.1 + 0.9 * share / most:.2f}",
                    },
                )  # fmt: skip
                span = f"{edges[bin_]:.4g} to {edges[bin_ + 1]:.4g}"
                SubElement(rect, "title").text = f"{day}: {share:.0%} from {span}"
    draw_label(svg, f"{edges[0]:.3g}", LEFT - 6, floor, "end")
    draw_label(svg, f"{edges[-1]:.3g}", LEFT - 6, TOP + 8, "end")
    draw_label(svg, str(days[0]), LEFT, floor + 16, "start")
    if len(days) > 1:
        draw_label(svg, str(days[-1]), WIDTH - RIGHT, floor + 16, "end")
    return as_markup(svg)
