"""Normal pictures that resemble medical ones: head and trunk sections, X-rays, ultrasound, tissue, skin."""

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
    coordinates,
    edge,
    scale,
)
from s2sw.model.synthetic.shapes import blob, ellipse, stroke, superellipse, walk

GREY = np.ones(3, np.float32)
MIDDLE = (119.5, 119.5)


def _grey(rng: Rng, level: Field, inside: Field) -> Surface:
    found = surface(rng, level[..., None] * GREY, inside > 0.5)
    found.behind = np.zeros(3, np.float32)
    return found


def head(rng: Rng) -> Surface:
    """A section of a head as in MRI or CT: skull, folded brain, symmetric ventricles."""
    y, x = coordinates()
    half = (between(rng, 85, 112), between(rng, 70, 98))
    wobble = 2.5 * blurred(cloud(rng, 2.5), 6)
    skin = superellipse(MIDDLE, half, between(rng, 1.9, 2.4), 0.0) + wobble
    bone, brain = skin - between(rng, 4, 9), skin - between(rng, 10, 18)
    fold = np.exp(-np.abs(band(rng, scale(rng, 12, 26), 0.35)) * 5).astype(np.float32)
    grey, white = between(rng, 0.3, 0.6), between(rng, 0.35, 0.8)
    cortex = edge(between(rng, 10, 22) - brain, 8)
    level = white + (grey - white) * np.clip(cortex + 0.3 * fold, 0, 1)
    fluid = between(rng, 0.05, 0.25) if chance(rng, 0.7) else between(rng, 0.75, 0.95)
    level += (fluid - level) * fold * cortex * between(rng, 0.3, 0.9)
    size, apart = between(rng, 6, 20), between(rng, 6, 16)
    for side in (-1, 1):
        lobe = ellipse(
            (110 + rng.normal(0, 3), 119.5 + side * apart), size * 0.45, 2.2, np.pi / 2 + side * 0.25
        )
        level = level + lobe * (fluid - level)
    midline = edge(1.2 - np.abs(x + wobble), 1.5) * edge(np.abs(y) - 25, 6)
    level = level + midline * 0.6 * (fluid - level)
    shell = between(rng, 0.7, 1.0) if chance(rng, 0.5) else between(rng, 0.02, 0.15)
    level = shell + edge(brain) * (level - shell)
    level = between(rng, 0.4, 0.8) + edge(bone) * (level - between(rng, 0.4, 0.8))
    level = level * edge(skin) * (1 + between(rng, 0, 0.04) * cloud(rng, 0.8)) + between(rng, 0, 0.02)
    return _grey(rng, level.astype(np.float32), edge(brain - 3))


def trunk(rng: Rng) -> Surface:
    """A section of a trunk as in CT: outline with fat, organs, spine, vessels or air."""
    half = (between(rng, 60, 90), between(rng, 90, 116))
    wobble = 4 * blurred(cloud(rng, 2.5), 6)
    skin = superellipse(MIDDLE, half, between(rng, 2, 2.8), 0.0) + wobble
    fat, flesh = between(rng, 0.2, 0.4), between(rng, 0.45, 0.65)
    inner = skin - between(rng, 5, 18)
    level = fat + edge(inner) * (flesh - fat)
    for _ in range(int(rng.integers(4, 11))):
        centre = (119.5 + rng.normal(0, half[0] * 0.4), 119.5 + rng.normal(0, half[1] * 0.45))
        organ = blob(rng, centre, scale(rng, 8, 40), 0.25, 2.5) * edge(inner - 3)
        tone = between(rng, 0.02, 0.15) if chance(rng, 0.15) else flesh + rng.normal(0, 0.08)
        level = level + organ * (tone - level)
    spine = blob(rng, (119.5 + half[0] * 0.55, 119.5), between(rng, 10, 17), 0.3)
    level = level + spine * (between(rng, 0.8, 1.0) - level)
    level = level * edge(skin) + scale(rng, 0.005, 0.05) * cloud(rng, 0.3) * edge(skin)
    return _grey(rng, level.astype(np.float32), edge(inner - 2))


def radiograph(rng: Rng) -> Surface:
    """An X-ray picture: bones, ribs or limbs as overlapping soft shadows."""
    y, x = coordinates()
    level = 0.35 + 0.12 * blurred(cloud(rng, 2.5), 4) + 0 * x
    if chance(rng, 0.5):  # a chest: dark lungs, bright middle, ribs
        for side in (-1, 1):
            lung = ellipse(
                (115, 119.5 + side * between(rng, 45, 60)), between(rng, 30, 42), 1.9, np.pi / 2, 14
            )
            level = level - lung * between(rng, 0.12, 0.25)
        bend = (np.abs(x) / 90) ** 2 * between(rng, 10, 30)
        ribs = np.clip(np.sin((y + bend) * 2 * np.pi / between(rng, 18, 30)), 0, 1)
        level = level + ribs.astype(np.float32) * between(rng, 0.02, 0.1)
        level = level + 0.3 * np.exp(-((x / between(rng, 18, 30)) ** 2))
    else:  # long bones
        for _ in range(int(rng.integers(1, 4))):
            line = walk(rng, (0.0, between(rng, 50, 190)), np.pi / 2 + rng.normal(0, 0.15), 300, 0.02)
            bone = stroke([line], [between(rng, 14, 44)])
            rim = bone - 0.5 * blurred(bone, 5)
            level = level + blurred(rim, 1.2) * between(rng, 0.2, 0.5)
    level = level + scale(rng, 0.004, 0.03) * cloud(rng, 0.3)
    return _grey(rng, np.clip(level, 0, 1).astype(np.float32), np.ones((SIDE, SIDE), np.float32))


def ultrasound(rng: Rng) -> Surface:
    """An ultrasound fan: speckle over layers of different echo."""
    y, x = coordinates()
    depth = y + 140
    fan = edge((between(rng, 0.45, 0.8) - np.abs(x) / depth) * depth, 2.0)
    layers = 0.3 + 0.12 * np.sin(depth / scale(rng, 8, 25) + 2 * blurred(cloud(rng, 2.2), 4))
    echo = blurred(cloud(rng, 2.0), 3) * 0.1 + layers
    speckle = np.hypot(blurred(cloud(rng, 0.0), 1.0), blurred(cloud(rng, 0.0), 1.0)) * between(rng, 1.0, 2.5)
    level = np.clip(echo, 0.02, 1) * speckle * np.exp(-depth / between(rng, 200, 600)) * fan
    return _grey(rng, np.clip(level, 0, 1).astype(np.float32), fan)


def tissue(rng: Rng) -> Surface:
    """Stained tissue: pink ground with many dark nuclei, fibres and gaps."""
    ground = np.array(
        [between(rng, 0.75, 0.95), between(rng, 0.5, 0.75), between(rng, 0.7, 0.88)], np.float32
    )
    image = painted(rng, cloud(rng, between(rng, 0.9, 1.5)), contrast=scale(rng, 0.02, 0.08), base=ground)
    number, border = cells(rng, int(scale(rng, 100, 900)), 1.4)
    size = SIDE / np.sqrt(max(number.max(), 1))
    share = edge(border - size * between(rng, 0.2, 0.33), 2.0)
    nuclei = np.stack([near(rng, np.array([0.4, 0.25, 0.5], np.float32), 0.06) for _ in range(16)])[
        number % 16
    ]
    image = image + (share * between(rng, 0.4, 0.95))[..., None] * (nuclei - image)
    return surface(rng, image)


def mucosa(rng: Rng) -> Surface:
    """A view into the bowel: wet red folds, vessels, reflexes, dark depth and corners."""
    centre = (between(rng, 60, 180), between(rng, 60, 180))
    y, x = coordinates()
    distance = np.hypot(y - centre[0] + 119.5, x - centre[1] + 119.5) + 6 * blurred(cloud(rng, 2.2), 5)
    folds = 0.5 + 0.5 * np.sin(np.sqrt(np.clip(distance, 0, None)) * between(rng, 0.8, 2.5))
    light = (0.25 + 0.6 * np.clip(distance / between(rng, 60, 160), 0, 1)) * (0.8 + 0.2 * folds)
    base = np.array([between(rng, 0.7, 0.95), between(rng, 0.3, 0.55), between(rng, 0.2, 0.45)], np.float32)
    image = light[..., None] * base
    vessels = np.exp(-np.abs(cloud(rng, 1.8)) * between(rng, 8, 20))[..., None]
    image = image * (1 - between(rng, 0, 0.25) * vessels * np.array([0.4, 1, 1], np.float32))
    shine = np.clip(band(rng, scale(rng, 10, 25), 0.5) - between(rng, 2.2, 3), 0, 1)[..., None] * 2
    image = np.clip(image + shine, 0, 1)
    inside = edge(between(rng, 108, 135) - np.maximum(np.abs(y), np.abs(x)), 2.0)
    return surface(rng, (image * inside[..., None]).astype(np.float32), (inside > 0.5) & (light > 0.35))


def skin(rng: Rng) -> Surface:
    """Skin under a lens: fine lines, pores, some hairs."""
    base = colour(rng, 0.4, 0.85, 0.2) + np.array([0.1, 0, -0.06], np.float32)
    fine = cloud(rng, 0.9) + between(rng, 0, 1.5) * band(rng, scale(rng, 6, 12), 0.5)
    image = painted(rng, fine, contrast=scale(rng, 0.006, 0.03), base=base.astype(np.float32))
    if chance(rng, 0.4):
        hairs = [
            walk(
                rng,
                (between(rng, 0, 240), between(rng, 0, 240)),
                between(rng, 0, 6.3),
                scale(rng, 30, 150),
                0.08,
            )
            for _ in range(int(rng.integers(3, 20)))
        ]
        share = stroke(hairs, [between(rng, 0.6, 1.4)] * len(hairs))[..., None]
        image = image + share * between(rng, 0.3, 0.9) * (colour(rng, 0, 0.2) - image)
    return surface(rng, image)


def retina(rng: Rng) -> Surface:
    """The back of an eye: round field, bright disc, branching vessels."""
    y, x = coordinates()
    disc = (between(rng, 100, 140), 119.5 + rng.choice([-1, 1]) * between(rng, 35, 60))
    base = np.array([between(rng, 0.55, 0.85), between(rng, 0.25, 0.45), between(rng, 0.1, 0.25)], np.float32)
    image = painted(rng, cloud(rng, 1.6), contrast=0.02, base=base)
    spot = ellipse(disc, between(rng, 10, 16), 1.1, 0.0, 4)
    image = mix_in(image, spot, np.array([1.0, 0.85, 0.6], np.float32))
    lines, widths = [], []
    for _ in range(int(rng.integers(5, 9))):
        line = walk(rng, disc, between(rng, 0, 6.3), between(rng, 80, 190), 0.09)
        lines.append(line)
        widths.append(between(rng, 1.2, 3))
        for _ in range(2):
            lines.append(walk(rng, line[int(rng.integers(1, len(line)))], between(rng, 0, 6.3), 70, 0.12))
            widths.append(between(rng, 0.6, 1.4))
    image = mix_in(image, blurred(stroke(lines, widths), 0.6) * 0.6, base * np.float32(0.45))
    inside = edge(between(rng, 104, 118) - np.hypot(y, x), 2.0)
    return surface(rng, (image * inside[..., None]).astype(np.float32), inside > 0.5)


def mix_in(image: Field, share: Field, tone: Field) -> Field:
    """Blend a colour into a picture by a share (SIDE, SIDE)."""
    return image + share[..., None] * (tone - image)


def slab(rng: Rng) -> Surface:
    """A joint or layered tissue section: a few broad curved bands of grey."""
    y, x = coordinates()
    depth = y + 0.002 * between(rng, -1, 1) * x**2 + 8 * blurred(cloud(rng, 2.5), 6)
    level = np.full((SIDE, SIDE), between(rng, 0.05, 0.3), np.float32)
    for at in np.sort(rng.uniform(-100, 90, int(rng.integers(3, 7)))):
        level = level + edge(depth - np.float32(at), between(rng, 2, 8)) * (between(rng, 0.05, 0.85) - level)
    level = level + scale(rng, 0.01, 0.06) * cloud(rng, between(rng, 0, 0.8)) * (0.3 + level)
    return _grey(rng, np.clip(level, 0, 1).astype(np.float32), np.ones((SIDE, SIDE), np.float32))


def smear(rng: Rng) -> Surface:
    """Blood or cell smears: round cells, some overlapping, on a light ground."""
    ground, tone = colour(rng, 0.75, 0.95, 0.2), colour(rng, 0.4, 0.7, 0.6)
    number, border = cells(rng, int(scale(rng, 40, 300)), 1.2)
    size = SIDE / np.sqrt(max(number.max(), 1))
    share = edge(border - size * between(rng, 0.05, 0.2), 2.0)
    pale = edge(border - size * between(rng, 0.3, 0.4), 4.0) * between(rng, 0, 0.6)
    image = mix(share * (1 - pale), ground, tone)
    return surface(rng, image + scale(rng, 0.004, 0.03) * cloud(rng, 0.6)[..., None])
