"""Normal textures that fill the picture: woven, brushed, granular, wood, stone, leather and so on."""

import numpy as np

from s2sw.model.synthetic.colours import Surface, colour, mix, near, painted, surface
from s2sw.model.synthetic.fields import (
    SIDE,
    Field,
    Rng,
    band,
    between,
    blurred,
    cells,
    chance,
    cloud,
    edge,
    rotated,
    scale,
    standard,
)


def _angle(rng: Rng) -> float:
    """Mostly along an axis, as materials lie in front of cameras."""
    straight = float(rng.integers(0, 4)) * np.pi / 2
    return straight + (rng.normal(0, 0.03) if chance(rng, 0.6) else between(rng, 0, np.pi))


def plain(rng: Rng) -> Surface:
    """Paint, plastic, glass, paper: almost uniform, with slow shades and faint grain."""
    field = standard(cloud(rng, between(rng, 1.5, 2.5)) + between(rng, 0, 0.6) * cloud(rng, 0.0))
    return surface(rng, painted(rng, field, contrast=scale(rng, 0.004, 0.03)))


def brushed(rng: Rng) -> Surface:
    """Metal with the traces of grinding or rolling along one direction."""
    angle, stretch = _angle(rng), scale(rng, 4, 60)
    field = cloud(rng, between(rng, 0.2, 1.2), stretch, angle + np.pi / 2)
    field = standard(field + between(rng, 0, 0.7) * cloud(rng, 1.8))
    return surface(rng, painted(rng, field, contrast=scale(rng, 0.01, 0.1)))


def granular(rng: Rng) -> Surface:
    """Sandpaper, foam, cast iron, ceramic: grains of one size, or rough at all sizes."""
    if chance(rng, 0.5):
        field = band(rng, scale(rng, 3, 14), between(rng, 0.2, 0.7))
        field = standard(np.tanh(field * between(rng, 0.3, 2.5)))
    else:
        field = cloud(rng, between(rng, 0.3, 1.3))
    return surface(rng, painted(rng, field))


def woven(rng: Rng) -> Surface:
    """Cloth, carpet, wire cloth: two thread systems that pass over and under each other."""
    along, across = rotated(_angle(rng))
    pitch, other = scale(rng, 5, 26), between(rng, 0.8, 1.25)
    wobble = blurred(cloud(rng, 2.0), 3) * between(rng, 0, 0.12) * pitch
    u, v = (along + wobble) / pitch, (across + wobble) / (pitch * other)
    twill = int(rng.integers(1, 4))
    over = (np.floor(u) + np.floor(v) * (1 if twill == 1 else twill - 1)) % (twill + 1) < 1
    warp, weft = np.abs(np.sin(np.pi * u)), np.abs(np.sin(np.pi * v))
    height = np.where(over, warp, weft).astype(np.float32) ** np.float32(between(rng, 0.3, 1))
    base = colour(rng, 0.2, 0.85)
    second = near(rng, base, 0.2) if chance(rng, 0.5) else base
    threads = np.where(over[..., None], base, second)
    image = threads * (1 - scale(rng, 0.1, 0.8) * (1 - height[..., None]))
    return surface(rng, image + scale(rng, 0.005, 0.05) * cloud(rng, 0.5)[..., None])


def wood(rng: Rng) -> Surface:
    """Boards: drawn-out rings with fine pores along the grain."""
    angle = _angle(rng)
    along, across = rotated(angle)
    bend = cloud(rng, 2.2, scale(rng, 2, 8), angle + np.pi / 2)
    phase = across / scale(rng, 6, 30) + bend * between(rng, 0.3, 2.0) + along * between(rng, -0.004, 0.004)
    rings = standard(np.abs(np.sin(phase)) ** np.float32(between(rng, 0.4, 2)))
    pores = cloud(rng, 0.3, scale(rng, 8, 30), angle + np.pi / 2)
    base = np.clip(colour(rng, 0.25, 0.7) + np.array([0.12, 0.0, -0.12], np.float32) * rng.random(), 0, 1)
    field = standard(rings + between(rng, 0.2, 1) * pores)
    return surface(rng, painted(rng, field, contrast=scale(rng, 0.02, 0.1), base=base.astype(np.float32)))


def plaster(rng: Rng) -> Surface:
    """Concrete, plaster, asphalt: rough at all sizes, with many small pores that belong to it."""
    field = cloud(rng, between(rng, 0.8, 1.4))
    pores = band(rng, scale(rng, 4, 10), 0.5)
    dots = np.clip(pores - between(rng, 1.2, 2.2), 0, None) * between(rng, 0, 1.5)
    return surface(rng, painted(rng, field - dots, contrast=scale(rng, 0.02, 0.12)))


def leather(rng: Rng) -> Surface:
    """Leather, crocodile skin, dried mud: bulging cells with dark creases."""
    _, border = cells(rng, int(scale(rng, 150, 1500)), between(rng, 0.8, 1.5))
    height = edge(border - 0.5, between(rng, 2, 5)) + 0.15 * cloud(rng, 0.8)
    base = colour(rng, 0.2, 0.75)
    creases = base * np.float32(between(rng, 0.3, 0.9))
    return surface(rng, mix(blurred(height, 0.6), creases, base))


def marble(rng: Rng) -> Surface:
    """Marble: clouds with branching veins."""
    veins = np.exp(-np.abs(cloud(rng, between(rng, 1.5, 2.0))) * between(rng, 3, 12)).astype(np.float32)
    clouds = cloud(rng, 1.6)
    base = colour(rng, 0.25, 0.9, 0.25)
    vein = colour(rng, 0.1, 0.95, 0.3)
    image = mix(veins * np.float32(between(rng, 0.1, 0.7)), base, vein)
    return surface(rng, image + 0.03 * clouds[..., None])


def terrazzo(rng: Rng) -> Surface:
    """Terrazzo, granite, crystals, multicrystalline silicon: cells of different shades."""
    number, border = cells(rng, int(scale(rng, 20, 1200)), between(rng, 0.9, 1.6))
    base, spread = colour(rng, 0.2, 0.8), scale(rng, 0.02, 0.2)
    shades = np.stack([near(rng, base, spread) for _ in range(24)])
    image = shades[number % 24]
    if chance(rng, 0.4):
        line = (1 - edge(border - between(rng, 0.3, 1.2), 1.0))[..., None]
        image = image * (1 - line * between(rng, 0.1, 0.8))
    return surface(rng, image + scale(rng, 0.005, 0.05) * cloud(rng, 0.6)[..., None])


def flow(rng: Rng) -> Surface:
    """Fur, hair, fibre mats, fingerprints: short streaks along a direction that changes slowly."""
    turn = standard(blurred(cloud(rng, 2.5), 6)) * between(rng, 0.2, 0.8)
    angle = _angle(rng)
    parts = [cloud(rng, 0.4, 14, angle + np.pi / 2 + shift) for shift in (-0.5, 0.0, 0.5)]
    weights = [np.exp(-((turn - at) ** 2) / 0.1) for at in (-0.5, 0.0, 0.5)]
    field: Field = sum(p * w for p, w in zip(parts, weights, strict=True)) / (sum(weights) + 1e-3)
    return surface(rng, painted(rng, standard(field.astype(np.float32))))


def bubbles(rng: Rng) -> Surface:
    """Foam, pebbles, seeds, pills in bulk: round bright things packed side by side."""
    number, border = cells(rng, int(scale(rng, 40, 500)), between(rng, 0.5, 1.0))
    size = SIDE / np.sqrt(max(number.max(), 1))
    dome = np.sqrt(np.clip(border / (0.5 * size), 0, 1)).astype(np.float32)
    base, gap = colour(rng, 0.35, 0.9), colour(rng, 0.0, 0.3)
    shades = np.stack([near(rng, base, 0.06) for _ in range(16)])[number % 16]
    image = gap + dome[..., None] * (shades - gap)
    return surface(rng, image + scale(rng, 0.005, 0.03) * cloud(rng, 0.5)[..., None])


def blank(rng: Rng) -> Surface:
    """Nothing at all: black, white or any one colour, as of an empty frame; or a plain gradient."""
    level = float(rng.choice([0.0, 1.0, rng.random()]))
    image = np.full((SIDE, SIDE, 3), level, np.float32) if chance(rng, 0.6) else colour(rng) + 0 * _slope(rng)
    if chance(rng, 0.5):
        image = image + between(rng, -1, 1) * _slope(rng)
    return surface(rng, image.astype(np.float32))


def _slope(rng: Rng) -> Field:
    along, _ = rotated(_angle(rng))
    return (along / np.float32(SIDE) + np.float32(0.5))[..., None] * np.ones(3, np.float32)


def static(rng: Rng) -> Surface:
    """Noise without any structure, of each pixel or coarser, grey or coloured."""
    channels = 3 if chance(rng, 0.4) else 1
    grain = [blurred(cloud(rng, between(rng, 0, 0.5)), between(rng, 0.0, 1.5)) for _ in range(channels)]
    field = np.stack([standard(one) for one in grain], axis=-1)
    return surface(
        rng, (between(rng, 0.2, 0.8) + scale(rng, 0.03, 0.35) * field * np.ones(3)).astype(np.float32)
    )
