"""Things that belong to a normal picture although they stand out: marks, seams, holes in a row, reflexes."""

import numpy as np

from s2sw.model.synthetic.colours import Surface, colour
from s2sw.model.synthetic.fields import (
    SIDE,
    Field,
    Rng,
    between,
    blurred,
    chance,
    cloud,
    coordinates,
    edge,
    rotated,
    scale,
)
from s2sw.model.synthetic.shapes import ellipse, place, rectangle, stroke


def _on(image: Field, share: Field, tone: Field, amount: float) -> Field:
    return image + (share * np.float32(amount))[..., None] * (tone - image)


def _seam(rng: Rng, surface: Surface) -> Field:
    """A straight line through the whole picture: a joint, an edge, a fold."""
    _, across = rotated(between(rng, 0, np.pi) if chance(rng, 0.4) else float(rng.integers(0, 2)) * np.pi / 2)
    line = edge(between(rng, 0.5, 3) - np.abs(across - between(rng, -90, 90)), 1.2)
    return _on(surface.image, line, colour(rng), between(rng, 0.2, 0.8))


def _two_parts(rng: Rng, surface: Surface) -> Field:
    """A straight border beyond which the picture is darker or brighter: the next part, a shadow."""
    _, across = rotated(between(rng, 0, np.pi) if chance(rng, 0.3) else float(rng.integers(0, 2)) * np.pi / 2)
    beyond = edge(across - np.float32(between(rng, 60, 110)), scale(rng, 1, 15))
    return (
        surface.image
        * (1 + between(rng, -0.7, 0.5) * (beyond if chance(rng, 0.5) else beyond[::-1, ::-1]))[..., None]
    )


def _row_of_dots(rng: Rng, surface: Surface) -> Field:
    """Three or more equal holes, rivets or dots in a regular row or on a ring."""
    count, radius = int(rng.integers(3, 9)), scale(rng, 2, 12)
    tone, amount, share = colour(rng), between(rng, 0.3, 1.0), np.zeros((SIDE, SIDE), np.float32)
    row, across = between(rng, 20, 220), chance(rng, 0.5)
    ring = chance(rng, 0.3)
    for k in range(count):
        at = (row, (k + 0.5) * SIDE / count)
        if ring:
            turn = 2 * np.pi * k / count
            at = (119.5 + 85 * float(np.sin(turn)), 119.5 + 85 * float(np.cos(turn)))
        share = np.maximum(share, ellipse(at if across else at[::-1], radius))
    return _on(surface.image, share, tone, amount)


def _writing(rng: Rng, surface: Surface) -> Field:
    """A short line of marks near a border: a serial number, a scale, a patient's side."""
    size, row = between(rng, 5, 14), between(rng, 10, 40)
    column, lines = between(rng, 8, 120), []
    for k in range(int(rng.integers(3, 9))):
        for _ in range(2):
            ends = rng.uniform(0, size * 0.7, (2, 2)) + np.array([row, column + k * size])
            lines.append([(float(r), float(c)) for r, c in ends])
    share = stroke(lines, [max(1.0, size * 0.13)] * len(lines))
    return _on(surface.image, share if chance(rng, 0.5) else share[::-1], colour(rng), between(rng, 0.4, 1))


def _frame(rng: Rng, surface: Surface) -> Field:
    """A dark or bright border on some sides: the end of the part, letterboxing, a mount."""
    y, x = coordinates()
    inside: Field = np.ones((SIDE, SIDE), np.float32)
    for side in (y, -y, x, -x):
        if chance(rng, 0.45):
            inside = inside * edge(np.float32(between(rng, 92, 118)) - side, scale(rng, 0.8, 5))
    tone = surface.behind if chance(rng, 0.5) else colour(rng)
    surface.where = surface.where & (inside > 0.9)
    return _on(surface.image, 1 - inside, tone, 1.0)


def _reflex(rng: Rng, surface: Surface) -> Field:
    """A wide soft reflex of light."""
    centre = place(rng, surface.where)
    glow = blurred(ellipse(centre, scale(rng, 15, 50), between(rng, 1, 3), between(rng, 0, np.pi), 12), 5)
    return surface.image + between(rng, 0.05, 0.3) * glow[..., None]


def _dust(rng: Rng, surface: Surface) -> Field:
    """Faint specks all over, as of dust or wear."""
    specks = np.clip(blurred(cloud(rng, 0.0), between(rng, 0.6, 1.2)) * 4 - between(rng, 2.2, 3.2), 0, 1)
    return np.asarray(surface.image + rng.choice([-1, 1]) * between(rng, 0.01, 0.08) * specks[..., None])


def _label(rng: Rng, surface: Surface) -> Field:
    """A clean rectangular label, window or pad."""
    half = (between(rng, 8, 30), between(rng, 12, 60))
    share = rectangle((between(rng, 40, 200), between(rng, 40, 200)), half, 0.0)
    tone = colour(rng, 0.7, 1.0, 0.3)
    image = _on(surface.image, share, tone, 1.0)
    bars = stroke([[(between(rng, 40, 200), 60.0), (120.0, 180.0)]], [1.5]) * share
    return _on(image, bars, colour(rng, 0, 0.3), 0.8)


DISTRACTORS = (_seam, _two_parts, _row_of_dots, _writing, _frame, _reflex, _dust, _label)


def distract(rng: Rng, surface: Surface) -> None:
    """Put none, one or two normal things into a surface, in place."""
    for _ in range(int(rng.choice([0, 0, 0, 1, 1, 2]))):
        which = DISTRACTORS[int(rng.integers(0, len(DISTRACTORS)))]
        surface.image = which(rng, surface).astype(np.float32)
