"""Defects: each changes a surface and says exactly where.

A defect takes (rng, surface, size, strength) and returns the changed image and a soft mask (SIDE, SIDE) in
0..1. size is the radius of a disc of about its extent, pixels; strength the change of brightness, 0..1.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from s2sw.model.synthetic.colours import Surface, colour
from s2sw.model.synthetic.fields import (
    SIDE,
    Field,
    Rng,
    band,
    between,
    blurred,
    chance,
    cloud,
    edge,
    rotated,
    scale,
)
from s2sw.model.synthetic.shapes import (
    Point,
    blob,
    crack,
    ellipse,
    place,
    polar,
    polygon,
    rectangle,
    stroke,
    walk,
)

Defect = Callable[[Rng, Surface, float, float], tuple[Field, Field]]


def _towards(rng: Rng, image: Field, share: Field, strength: float) -> Field:
    """Darken or brighten where share is, mostly towards the side with more room; sometimes coloured."""
    level = float((image.mean(axis=2) * share).sum() / (share.sum() + 1e-6))
    up = chance(rng, np.clip(1.15 - 1.3 * level, 0.1, 0.9) * 0.8)
    change = np.full(3, strength if up else -strength) * (1 + rng.normal(0, 0.3, 3) * chance(rng, 0.3))
    return image + share[..., None] * change.astype(np.float32)


def _somewhere(rng: Rng, surface: Surface) -> Point:
    return place(rng, surface.where)


def _shape(rng: Rng, surface: Surface, size: float) -> Field:
    """Return a closed shape of a size inside the allowed part: ragged, round, angular or long."""
    centre, kind = _somewhere(rng, surface), rng.random()
    if kind < 0.5:
        return blob(rng, centre, size, between(rng, 0.05, 0.5), between(rng, 1, 3))
    if kind < 0.65:
        return ellipse(centre, size * 0.7, between(rng, 1, 2.5), between(rng, 0, np.pi))
    if kind < 0.85:
        half = (size * between(rng, 0.4, 0.9), size * between(rng, 0.6, 1.6))
        return rectangle(centre, half, between(rng, 0, np.pi) if chance(rng, 0.5) else 0.0)
    turns = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
    reach = size * rng.uniform(0.7, 1.5, len(turns))
    points = [
        (centre[0] + r * np.sin(t), centre[1] + r * np.cos(t)) for t, r in zip(turns, reach, strict=True)
    ]
    return polygon([(float(r), float(c)) for r, c in points])


def cracked(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A crack, with branches at times: dark, or bright where light comes through."""
    width = np.clip(size * between(rng, 0.03, 0.12), 0.6, 6)
    share = crack(rng, _somewhere(rng, surface), max(10.0, size * between(rng, 1.5, 5)), width)
    share = share * surface.where
    tone = -1 if chance(rng, 0.8) else 1
    image = surface.image + (tone * strength * share)[..., None].astype(np.float32)
    if chance(rng, 0.2):  # a lit edge beside it
        image = image + (0.5 * strength * np.roll(share, 2, axis=0) * (1 - share))[..., None]
    return image, share


def scratched(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """One to five scratches, nearly straight, side by side."""
    start, direction = _somewhere(rng, surface), between(rng, 0, 2 * np.pi)
    lines, widths = [], []
    for _ in range(int(rng.choice([1, 1, 2, 3, 5]))):
        begin = (start[0] + rng.normal(0, size * 0.3), start[1] + rng.normal(0, size * 0.3))
        lines.append(walk(rng, begin, direction + rng.normal(0, 0.1), size * between(rng, 1, 4), 0.015))
        widths.append(float(np.clip(size * between(rng, 0.02, 0.08), 0.6, 4)))
    share = stroke(lines, widths) * surface.where
    return _towards(rng, surface.image, share, strength), share


def hole(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A blowhole or chip: dark inside, at times with a bright or dark rim."""
    share = (
        blob(rng, _somewhere(rng, surface), size, between(rng, 0.0, 0.35), between(rng, 1, 3)) * surface.where
    )
    image = (
        surface.image * (1 - share[..., None] * min(1, 0.3 + strength)) - 0.4 * strength * share[..., None]
    )
    if chance(rng, 0.5):
        rim = np.clip(blurred(share, 1.5) - share, 0, 1)[..., None]
        image = image + rim * strength * rng.choice([-1, 1, 1])
    return image, share


def pits(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A cluster of small holes, specks or drops."""
    centre = _somewhere(rng, surface)
    share = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(int(rng.integers(3, 12))):
        at = (centre[0] + rng.normal(0, size * 0.7), centre[1] + rng.normal(0, size * 0.7))
        share = np.maximum(share, ellipse(at, max(1.0, size * between(rng, 0.05, 0.2)), between(rng, 1, 1.6)))
    share = share * surface.where
    return _towards(rng, surface.image, share, strength), share


def stained(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A stain: a tint within an irregular outline, with a darker rim at times."""
    share = (
        blob(rng, _somewhere(rng, surface), size, between(rng, 0.1, 0.5), scale(rng, 1.5, 8)) * surface.where
    )
    ink = colour(rng, 0.0, 0.6, 0.9) if chance(rng, 0.8) else colour(rng, 0.6, 1, 0.6)
    amount = share * (0.75 + 0.25 * np.tanh(cloud(rng, 1.5)))
    if chance(rng, 0.4):
        amount = amount + 0.5 * np.clip(share - blurred(share, 3), 0, 1)
    image = surface.image + np.clip(amount * (0.15 + strength), 0, 0.95)[..., None] * (ink - surface.image)
    return image, share


def dent(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A dent or bump: one side lit, the other in shade."""
    centre, angle = _somewhere(rng, surface), between(rng, 0, 2 * np.pi)
    distance, direction = polar(centre, between(rng, 0, np.pi), between(rng, 1, 1.6))
    height = np.exp(-0.5 * (distance / (size * 0.55)) ** 2).astype(np.float32) * surface.where
    slope = height * distance / (size * 0.55) * np.cos(direction - angle)
    image = surface.image * (1 + 2.2 * strength * slope[..., None]) + 0.4 * strength * slope[..., None]
    return image, edge(size * 1.1 - distance) * surface.where


def region(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A part that is dark, dead or too bright, cut off by straight lines or ragged ones."""
    share = _shape(rng, surface, size * 1.2) * surface.where
    if chance(rng, 0.75):
        return surface.image * (
            1 - share[..., None] * np.float32(np.clip(0.2 + strength * 1.2, 0, 0.95))
        ), share
    return surface.image + share[..., None] * np.float32(strength), share


def missing(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A piece broken off or not there: what is behind shows."""
    share = _shape(rng, surface, size) * surface.where
    tone = surface.behind + rng.normal(0, 0.02)
    return surface.image + share[..., None] * (tone - surface.image).astype(np.float32), share


def pasted(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A piece of the same picture in another place, turned, mirrored or brighter."""
    share = _shape(rng, surface, max(size, 6)) * surface.where
    other = np.rot90(surface.image, int(rng.integers(1, 4)))
    if chance(rng, 0.5):
        other = other[::-1]
    shift = tuple(int(v) for v in rng.integers(20, SIDE - 20, 2))
    other = np.roll(other, shift, axis=(0, 1)) + (rng.normal(0, 0.5 * strength) if chance(rng, 0.5) else 0)
    return surface.image + share[..., None] * (other - surface.image).astype(np.float32), share


def displaced(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A part that has slipped by some pixels against its surroundings."""
    share = _shape(rng, surface, max(size, 8)) * surface.where
    reach = scale(rng, 3, 14)
    angle = between(rng, 0, 2 * np.pi)
    shift = (round(reach * np.sin(angle)), round(reach * np.cos(angle)))
    other = np.roll(surface.image, shift, axis=(0, 1))
    return surface.image + share[..., None] * (other - surface.image), share


def swapped(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A patch of another structure of about the same brightness: overgrowth, foreign material, wrong part."""
    share = _shape(rng, surface, size) * surface.where
    other = band(rng, scale(rng, 3, 20), 0.4) if chance(rng, 0.5) else cloud(rng, between(rng, 0.2, 1.5))
    base = surface.image.mean(axis=(0, 1)) + rng.normal(0, 0.4 * strength)
    texture = base + other[..., None] * scale(rng, 0.03, 0.25)
    amount = share[..., None] * np.float32(between(rng, 0.6, 1.0))
    return surface.image + amount * (texture - surface.image).astype(np.float32), share


def lesion(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A soft bright or dark focus, with a ring or a mottled inside at times."""
    distance, _ = polar(_somewhere(rng, surface), between(rng, 0, np.pi), between(rng, 1, 1.8))
    distance = distance + np.float32(0.12 * size) * blurred(cloud(rng, 2.0), 2)
    share = expit((size - distance) / (0.08 * size + 0.7)).astype(np.float32) * surface.where
    amount = share * (1 + between(rng, 0, 0.4) * cloud(rng, 1.2))
    if chance(rng, 0.3):
        amount = amount * np.clip(0.35 + (distance / size) ** 2, 0, 1)
    return _towards(rng, surface.image, amount.astype(np.float32), strength), (share > 0.35).astype(
        np.float32
    )


def smudged(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A part whose structure is rubbed away: worn, glued over, out of focus."""
    share = blob(rng, _somewhere(rng, surface), size, 0.3, between(rng, 2, 6)) * surface.where
    smooth = blurred(surface.image, scale(rng, 2.5, 8)) + rng.normal(0, 0.25 * strength)
    return surface.image + share[..., None] * (smooth - surface.image).astype(np.float32), share


def rough(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A part with more grain than its surroundings: corrosion, frost, burnt noise."""
    share = blob(rng, _somewhere(rng, surface), size, 0.4, between(rng, 2, 8)) * surface.where
    grain = cloud(rng, between(rng, 0.0, 1.0)) * (0.05 + 0.6 * strength)
    return surface.image + (share * grain)[..., None], share


def fibre(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A hair, thread or splinter lying on top: a thin curved line of its own colour."""
    line = walk(
        rng,
        _somewhere(rng, surface),
        between(rng, 0, 6.3),
        size * between(rng, 1.5, 5),
        between(rng, 0.03, 0.3),
    )
    width = float(np.clip(size * between(rng, 0.03, 0.12), 0.8, 4))
    share = stroke([line], [width]) * surface.where
    if chance(rng, 0.5):
        return _towards(rng, surface.image, share, strength), share
    amount = share[..., None] * np.float32(min(1, 0.3 + strength))
    return surface.image + amount * (colour(rng, 0, 1, 1.0) - surface.image), share


def lost_line(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A strip that is dim, bright or missing, along rows or columns: a thread, finger or scan line."""
    row, column = _somewhere(rng, surface)
    half = (float(np.clip(size * between(rng, 0.04, 0.15), 0.7, 8)), max(8.0, size * between(rng, 1, 3)))
    share = rectangle((row, column), half, np.pi / 2 * float(rng.integers(0, 2))) * surface.where
    return _towards(rng, surface.image, share, strength), share


def tinted(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A part of another hue or shade, structure kept: discoloration, heat tint, moisture."""
    share = _shape(rng, surface, size) * surface.where
    share = blurred(share, scale(rng, 0.5, 5))
    change = rng.normal(0, 1, 3)
    change = change / np.abs(change).max() * (0.05 + strength)
    image = surface.image * (1 + share[..., None] * change.astype(np.float32))
    return image, (share > 0.4).astype(np.float32)


def cut_off(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """All that lies beyond a crack or a straight line is dark or dead, up to half of the picture."""
    along, across = rotated(
        between(rng, 0, 2 * np.pi) if chance(rng, 0.5) else float(rng.integers(0, 4)) * np.pi / 2
    )
    reach = between(rng, 0.0, 0.9) * 110
    line = across + (between(rng, 2, 8) * blurred(cloud(rng, 1.8), 3) if chance(rng, 0.6) else 0)
    share = edge(line - np.float32(reach), between(rng, 1, 3)) * surface.where
    if chance(rng, 0.6):  # it also ends on one side or both
        share = share * edge(between(rng, 10, 100) - np.abs(along - between(rng, -70, 70)), 2)
    amount = np.float32(np.clip(0.15 + 1.3 * strength, 0, 0.95))
    return surface.image * (1 - share[..., None] * amount), share


def dimmed(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """The whole thing is much darker than its kind: dead, burnt out, underexposed by a fault."""
    share = surface.where.astype(np.float32)
    if chance(rng, 0.5):
        share = share * np.clip(0.75 + 0.25 * cloud(rng, 2.2), 0.3, 1.2)
    return surface.image * (1 - share[..., None] * between(rng, 0.35, 0.75)), surface.where.astype(np.float32)


def burnt(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A burn: a dark core in a wide brown halo."""
    distance, _ = polar(_somewhere(rng, surface), between(rng, 0, np.pi), between(rng, 1, 1.5))
    distance = distance + np.float32(0.15 * size) * blurred(cloud(rng, 1.8), 2)
    halo = np.exp(-((np.clip(distance, 0, None) / size) ** 2)).astype(np.float32) * surface.where
    core = edge(0.4 * size - distance, 2.5) * surface.where
    tint = np.array([0.6, 0.8, 1.0], np.float32)
    image = surface.image * (1 - halo[..., None] * tint * min(0.9, 0.2 + strength))
    return image * (1 - core[..., None] * min(0.9, 0.3 + strength)), (halo > 0.4).astype(np.float32)


def warped(rng: Rng, surface: Surface, size: float, strength: float) -> tuple[Field, Field]:
    """A part drawn together or apart, as by heat or pressure: its structure bends."""
    centre = _somewhere(rng, surface)
    distance, _ = polar(centre)
    size = max(size, 12.0)
    pull = np.exp(-((distance / size) ** 2)) * between(rng, 0.35, 0.7) * rng.choice([-1, 1])
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    at = (
        np.clip(rows + pull * (rows - centre[0]), 0, SIDE - 1).astype(int),
        np.clip(columns + pull * (columns - centre[1]), 0, SIDE - 1).astype(int),
    )
    share = (edge(1.3 * size - distance) * surface.where).astype(np.float32)
    return surface.image + share[..., None] * (surface.image[at] - surface.image), share
