"""A profile as one HTML page that needs no other file: its groups, detection limits, and how they look."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement

from markupsafe import Markup
from scipy.stats import binomtest

from s2sw.model.rarity.choosing import BUDGET
from s2sw.pipeline.pages.charts import (
    BOTTOM,
    HISTOGRAM_HEIGHT,
    LEFT,
    Axes,
    as_markup,
    draw_grid_y,
    draw_label,
    draw_line,
    new_svg,
)
from s2sw.pipeline.pages.rendering import template
from s2sw.schemas.profile import ExtentRecord, GroupRecord, LimitRecord, ProfileRecord

TOP = 24
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_APART = 0.18
"""Between the contrasts of one size, in sizes."""


@dataclass(frozen=True)
class Shown:
    """A picture of the page: a data URI, its object's id, and how rare it is, in deviations of its group."""

    uri: str
    name: str
    rarity: float


@dataclass(frozen=True)
class Looks:
    """The most and the least typical pictures of a group."""

    typical: Sequence[Shown] = ()
    unlike: Sequence[Shown] = ()


def interval(found: int, seeds: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson's score interval)."""
    low, high = binomtest(found, seeds).proportion_ci(0.95, "wilson")
    return float(low), float(high)


def share(found: int, seeds: int) -> str:
    """Return a share in words, with its interval."""
    low, high = interval(found, seeds)
    return f"{found} of {seeds} ({low:.0%} to {high:.0%})"


def size_words(size: float, extent: ExtentRecord | None) -> str:
    """Return a share of a picture's area in words: how far a round defect of this size reaches, if known."""
    if extent is None or size >= 1:
        return f"{size:.1%}"
    across = 2 * (size / math.pi) ** 0.5
    mm = f", {across * extent.mm:.1f} mm" if extent.mm else ""
    return f"{size:.1%} ({across * extent.pixels:.0f} px{mm} across)"


def bands(group: GroupRecord) -> list[tuple[bool, float]]:
    """Return whether and up to which size of defects something is known, changes of whole pictures last."""
    return sorted({(limit.whole, limit.size) for limit in group.limits})


def band_words(band: tuple[bool, float], extent: ExtentRecord | None) -> str:
    """Return one of these in words."""
    whole, size = band
    return "whole picture" if whole else f"up to {size_words(size, extent)}"


def profile_page(record: ProfileRecord, looks: dict[str, Looks]) -> str:
    """Return the page. looks: pictures of groups, by name; none of them has to be there."""
    return template("profile.html").render(
        record=record,
        budget=f"{BUDGET:.0%}",
        charts={g.name: limits_chart(g, number) for number, g in enumerate(record.groups) if g.limits},
        contrasts={group.name: _contrasts(group) for group in record.groups},
        looks={group.name: looks.get(group.name, Looks()) for group in record.groups},
    )


def limits_chart(group: GroupRecord, number: int) -> Markup:
    """Draw the share of seeded defects found by size, a colour a contrast, with intervals."""
    rows, contrasts = bands(group), _contrasts(group)
    words = (
        f"area {band_words((one.whole, one.size), group.extent)}, contrast up to {one.contrast:g}: "
        f"{share(one.found, one.seeds)}"
        for one in group.limits
    )
    svg = new_svg(HISTOGRAM_HEIGHT, f"Detection limit {number + 1}", "; ".join(words))
    axes = Axes((0.0, float(len(rows))), (0.0, 1.0), TOP, HISTOGRAM_HEIGHT - BOTTOM)
    for value in _TICKS:
        draw_grid_y(svg, axes, value, f"{value:.0%}")
    draw_label(svg, "share found", LEFT, TOP - 8, "start")
    for place, band in enumerate(rows):
        draw_label(svg, band_words(band, group.extent), axes.at_x(place + 0.5), axes.bottom + 17, "middle")
    for limit in (one for one in group.limits if one.seeds):
        colour = contrasts.index(limit.contrast)
        beside = (colour - (len(contrasts) - 1) / 2) * _APART
        place = rows.index((limit.whole, limit.size))
        _draw(svg, axes, place + 0.5 + beside, limit, colour)
    return as_markup(svg)


def _draw(svg: Element, axes: Axes, place: float, limit: LimitRecord, colour: int) -> None:
    x = axes.at_x(place)
    low, high = interval(limit.found, limit.seeds)
    draw_line(svg, f"curve c{colour}", (x, axes.at_y(low)), (x, axes.at_y(high)))
    spot = {"cx": f"{x:.2f}", "cy": f"{axes.at_y(limit.found / limit.seeds):.2f}", "r": "4"}
    dot = SubElement(svg, "circle", {"class": f"curve spot c{colour}", **spot})
    SubElement(dot, "title").text = share(limit.found, limit.seeds)


def _contrasts(group: GroupRecord) -> list[float]:
    return sorted({limit.contrast for limit in group.limits})
