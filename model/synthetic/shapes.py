"""Shapes as soft masks (SIDE, SIDE) in 0..1: blobs, lines, cracks, polygons, ellipses."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from s2sw.model.synthetic.fields import SIDE, Field, Rng, between, chance, coordinates, edge

Point = tuple[float, float]
"""Row and column, pixels from the top left."""

FINE = 2
"""Lines are drawn this many times larger, then averaged, so that their edges are soft."""


def polar(centre: Point, angle: float = 0.0, aspect: float = 1.0) -> tuple[Field, Field]:
    """Return distance (pixels, stretched by aspect along angle) and direction of each pixel from a centre."""
    y, x = coordinates()
    middle = (SIDE - 1) / 2
    dy, dx = y + np.float32(middle - centre[0]), x + np.float32(middle - centre[1])
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = (c * dx + s * dy) / np.float32(aspect), c * dy - s * dx
    return np.hypot(u, v), np.arctan2(v, u)


def ellipse(
    centre: Point, radius: float, aspect: float = 1.0, angle: float = 0.0, soft: float = 1.5
) -> Field:
    """Return an ellipse of half axes radius and radius * aspect."""
    distance, _ = polar(centre, angle, aspect)
    return edge(np.float32(radius) - distance, soft)


def blob(rng: Rng, centre: Point, radius: float, rough: float = 0.3, soft: float = 1.5) -> Field:
    """Return an irregular closed shape of about a radius; rough 0 is an ellipse, 0.5 ragged."""
    distance, direction = polar(centre, between(rng, 0, np.pi), between(rng, 1, 1.8))
    rim = np.ones_like(distance)
    for wave in range(2, 8):
        rim += (
            rough
            * rng.normal(0, 1)
            / wave
            * np.cos(wave * direction + rng.uniform(0, 6.3)).astype(np.float32)
        )
    return edge(np.float32(radius) * np.clip(rim, 0.25, 2) - distance, soft)


def rectangle(centre: Point, half: tuple[float, float], angle: float = 0.0, soft: float = 1.0) -> Field:
    """Return a rectangle of half sides (across, along) at an angle."""
    y, x = coordinates()
    middle = (SIDE - 1) / 2
    dy, dx = y + np.float32(middle - centre[0]), x + np.float32(middle - centre[1])
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    inside = np.minimum(half[1] - np.abs(c * dx + s * dy), half[0] - np.abs(c * dy - s * dx))
    return edge(inside.astype(np.float32), soft)


def superellipse(centre: Point, half: tuple[float, float], power: float, angle: float) -> Field:
    """Return the signed distance (about pixels, positive inside) to |x/a|^p + |y/b|^p = 1."""
    y, x = coordinates()
    middle = (SIDE - 1) / 2
    dy, dx = y + np.float32(middle - centre[0]), x + np.float32(middle - centre[1])
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = np.abs(c * dx + s * dy) / np.float32(half[1]), np.abs(c * dy - s * dx) / np.float32(half[0])
    level = (u**power + v**power) ** np.float32(1 / power)
    return (1 - level) * np.float32(min(half))


def stroke(lines: Sequence[Sequence[Point]], widths: Sequence[float]) -> Field:
    """Draw polylines of widths in pixels, half a pixel at least (thinner ones become fainter)."""
    canvas = Image.new("L", (SIDE * FINE, SIDE * FINE))
    pen = ImageDraw.Draw(canvas)
    for line, width in zip(lines, widths, strict=True):
        points = [(column * FINE, row * FINE) for row, column in line]
        pen.line(points, fill=255, width=max(1, round(width * FINE)), joint="curve")
    small = canvas.reduce(FINE)
    return np.asarray(small, np.float32) / 255


def polygon(points: Sequence[Point]) -> Field:
    """Fill a polygon."""
    canvas = Image.new("L", (SIDE * FINE, SIDE * FINE))
    ImageDraw.Draw(canvas).polygon([(column * FINE, row * FINE) for row, column in points], fill=255)
    return np.asarray(canvas.reduce(FINE), np.float32) / 255


def walk(rng: Rng, start: Point, direction: float, length: float, restless: float) -> list[Point]:
    """Return a polyline of a length in pixels that turns at random as it goes; restless: radians a step."""
    step = 3.0
    count = max(2, int(length / step))
    turns = direction + np.cumsum(rng.normal(0, restless, count))
    turns += rng.normal(0, restless, count)  # kinks that do not last
    rows = start[0] + np.cumsum(np.sin(turns)) * step
    columns = start[1] + np.cumsum(np.cos(turns)) * step
    return [start, *zip(rows.tolist(), columns.tolist(), strict=True)]


def crack(rng: Rng, start: Point, length: float, width: float) -> Field:
    """Return a crack through a point: both ways from it, with branches that grow thinner."""
    direction, restless = between(rng, 0, 2 * np.pi), between(rng, 0.05, 0.45)
    share = rng.random()
    lines = [
        walk(rng, start, direction, length * share, restless),
        walk(rng, start, direction + np.pi, length * (1 - share), restless),
    ]
    widths = [width, width]
    for _ in range(int(rng.integers(0, 4)) if chance(rng, 0.5) else 0):
        trunk = lines[int(rng.integers(0, len(lines)))]
        fork = trunk[int(rng.integers(0, len(trunk)))]
        aside = direction + rng.choice([-1, 1]) * between(rng, 0.4, 1.3)
        lines.append(walk(rng, fork, aside, length * between(rng, 0.15, 0.5), restless))
        widths.append(width * between(rng, 0.5, 0.9))
    return stroke(lines, widths)


def place(rng: Rng, where: NDArray[np.bool_]) -> Point:
    """Draw a pixel among those allowed."""
    allowed = np.flatnonzero(where)
    at = int(allowed[rng.integers(0, len(allowed))]) if len(allowed) else SIDE * SIDE // 2 + SIDE // 2
    return float(at // SIDE), float(at % SIDE)
