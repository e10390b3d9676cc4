"""Normal scenes: one or several shaded things on a ground, as parts lie in front of a camera."""

import numpy as np

from s2sw.model.synthetic.colours import Surface, colour, near, painted
from s2sw.model.synthetic.fields import SIDE, Field, Rng, band, between, blurred, chance, cloud, edge, scale
from s2sw.model.synthetic.shapes import Point, ellipse, polar, rectangle, superellipse


def _ground(rng: Rng) -> Field:
    """Return what the thing lies on: black, white, grey or lightly structured."""
    kind = rng.random()
    base = colour(rng, 0, 0.15) if kind < 0.35 else colour(rng, 0.75, 1) if kind < 0.6 else colour(rng)
    return painted(rng, cloud(rng, between(rng, 0.8, 2)), contrast=scale(rng, 0.002, 0.03), base=base)


def _shaded(rng: Rng, distance: Field, tone: Field) -> Field:
    """Return the thing's picture: a bulge lit from one side, with a highlight and a little grain."""
    reach = scale(rng, 4, 60)
    height = np.sqrt(np.clip(distance / reach, 0, 1)).astype(np.float32)
    down, across = np.gradient(blurred(height, 2.5))
    angle = between(rng, 0, 2 * np.pi)
    slope = (np.sin(angle) * down + np.cos(angle) * across) * reach
    body = tone * (0.75 + 0.25 * height + between(rng, 0, 0.8) * slope)[..., None]
    if chance(rng, 0.4):
        body = body + (np.clip(slope - between(rng, 0.1, 0.5), 0, 1) * between(rng, 0.2, 1))[..., None]
    grain = cloud(rng, between(rng, 0.2, 1.5), scale(rng, 1, 12), between(rng, 0, np.pi))
    return np.asarray(body + scale(rng, 0.003, 0.05) * grain[..., None])


def _put(image: Field, body: Field, distance: Field) -> Field:
    return image + edge(distance, 1.5)[..., None] * (body - image)


def _signed(shape: Field) -> Field:
    """Return a rough signed distance in pixels of a soft mask, enough for shading."""
    return (blurred(shape, 5) - 0.5) * 14


def thing(rng: Rng) -> Surface:
    """One rounded part: tablet, box, bottle seen from above, casing, fruit."""
    image = _ground(rng)
    behind = image[0, 0].copy()
    centre = (119.5 + rng.normal(0, 8), 119.5 + rng.normal(0, 8))
    half = (between(rng, 35, 112), between(rng, 35, 112))
    distance = superellipse(centre, half, scale(rng, 1.6, 9), between(rng, 0, np.pi))
    distance = distance + between(rng, 0, 3) * blurred(cloud(rng, 2.2), 5)
    tone = colour(rng, 0.2, 0.95, 0.8)
    image = _put(image, _shaded(rng, distance, tone), distance)
    for _ in range(int(rng.integers(0, 3))):  # a band, cap or label that belongs to it
        part = rectangle(centre, (between(rng, 6, 40), between(rng, 20, 110)), between(rng, 0, np.pi))
        inside = part * edge(distance - 2)
        image = image + inside[..., None] * between(rng, 0.4, 1) * (near(rng, tone, 0.25) - image)
    return Surface(image.astype(np.float32), distance > 2, behind)


def ring(rng: Rng) -> Surface:
    """Washers, nuts, gaskets, cable ends, bottle necks: a body with holes and perhaps wires in them."""
    image = _ground(rng)
    behind = image[0, 0].copy()
    centre = (119.5 + rng.normal(0, 6), 119.5 + rng.normal(0, 6))
    outer = between(rng, 70, 112)
    distance, direction = polar(centre)
    sides = int(rng.choice([0, 0, 6, 8, 12, 24]))
    rim = outer * (1 - 0.06 * np.abs(np.sin(sides * direction / 2))) if sides else outer
    body = (rim - distance).astype(np.float32)
    tone = colour(rng, 0.2, 0.95, 0.6)
    holes = int(rng.choice([0, 1, 1, 3, 4, 6]))
    for k in range(holes):
        angle, away = 2 * np.pi * k / max(holes, 1), 0.0 if holes == 1 else outer * 0.55
        at = (centre[0] + away * np.sin(angle), centre[1] + away * np.cos(angle))
        radius = outer * (between(rng, 0.3, 0.7) if holes == 1 else 0.2)
        hole, _ = polar(at)
        body = np.minimum(body, hole - np.float32(radius))
    image = _put(image, _shaded(rng, body, tone), body)
    return Surface(image.astype(np.float32), body > 1.5, behind)


def pin(rng: Rng) -> Surface:
    """Long parts: screws, pens, brushes, pipes; a shaft with a head and perhaps a thread."""
    image = _ground(rng)
    behind = image[0, 0].copy()
    angle = between(rng, 0, np.pi)
    width = between(rng, 8, 26)
    shaft = _signed(rectangle((119.5, 119.5), (width, between(rng, 80, 112)), angle, 1.5))
    at = _towards(angle, between(rng, 60, 90))
    cap = _signed(ellipse(at, width * between(rng, 1.2, 2)))
    tone = colour(rng, 0.2, 0.9, 0.4)
    body = _shaded(rng, np.maximum(shaft, cap), tone)
    if chance(rng, 0.5):
        c, s = np.cos(angle), np.sin(angle)
        rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
        thread = np.sin((c * columns + s * rows) * 2 * np.pi / between(rng, 5, 14))
        body = body * (1 + between(rng, 0.1, 0.4) * thread[..., None].astype(np.float32))
    image = _put(image, body, np.maximum(shaft, cap))
    return Surface(image.astype(np.float32), np.maximum(shaft, cap) > 1, behind)


def _towards(angle: float, reach: float) -> Point:
    return 119.5 + reach * float(np.sin(angle)), 119.5 + reach * float(np.cos(angle))


def several(rng: Rng) -> Surface:
    """Equal parts laid out in rows, or thrown on the ground: capsules, candles, coins, connectors."""
    image = _ground(rng)
    behind = image[0, 0].copy()
    across = int(rng.integers(2, 5))
    step = SIDE / across
    half = (step * between(rng, 0.2, 0.42), step * between(rng, 0.2, 0.42))
    power, turned = scale(rng, 1.7, 8), chance(rng, 0.4)
    angle, tone = between(rng, 0, np.pi), colour(rng, 0.2, 0.95, 0.8)
    distance = np.full((SIDE, SIDE), -1e3, np.float32)
    for row in range(across):
        for column in range(across):
            middle = (
                (row + 0.5) * step + rng.normal(0, step * 0.03),
                (column + 0.5) * step + rng.normal(0, step * 0.03),
            )
            turn = between(rng, 0, np.pi) if turned else angle
            distance = np.maximum(distance, superellipse(middle, half, power, turn))
    image = _put(image, _shaded(rng, distance, tone), distance)
    return Surface(image.astype(np.float32), distance > 1, behind)


def gear(rng: Rng) -> Surface:
    """A toothed wheel with spokes or a hub."""
    image = _ground(rng)
    behind = image[0, 0].copy()
    distance, direction = polar((119.5, 119.5))
    teeth, outer = int(rng.integers(8, 36)), between(rng, 80, 105)
    rim = outer + np.clip(np.sin(teeth * direction) * 6, -1, 1) * between(rng, 3, 8)
    body = np.minimum(rim - distance, distance - outer * between(rng, 0.1, 0.3)).astype(np.float32)
    image = _put(image, _shaded(rng, body, colour(rng, 0.2, 0.9, 0.3)), body)
    return Surface(image.astype(np.float32), body > 1.5, behind)


def casting(rng: Rng) -> Surface:
    """A rough metal part that fills most of the picture, with bores and steps."""
    tone = colour(rng, 0.3, 0.75, 0.1)
    texture = 0.05 * cloud(rng, 1.0) + 0.04 * rng.random() * band(rng, 5)
    image = (tone + texture[..., None]).astype(np.float32)
    for _ in range(int(rng.integers(1, 5))):
        centre = (between(rng, 20, 220), between(rng, 20, 220))
        step = superellipse(centre, (between(rng, 15, 90), between(rng, 15, 90)), scale(rng, 2, 8), 0.0)
        rim = np.exp(-((step / 2.5) ** 2))[..., None]
        image = image + edge(step, 2)[..., None] * rng.normal(0, 0.08) + rim * rng.normal(0, 0.15)
    return Surface(image.astype(np.float32), np.ones((SIDE, SIDE), bool), colour(rng, 0, 0.15))
