"""Normal pictures with a made order: tiles, meshes, grooves, solar cells, circuit boards, wafers, print."""

import numpy as np

from s2sw.model.synthetic.colours import Surface, colour, mix, near, painted, surface
from s2sw.model.synthetic.fields import (
    SIDE,
    Field,
    Rng,
    band,
    between,
    cells,
    chance,
    cloud,
    coordinates,
    edge,
    rotated,
    scale,
)
from s2sw.model.synthetic.shapes import ellipse, rectangle, stroke, superellipse


def _grain(rng: Rng, image: Field, low: float = 0.003, high: float = 0.04) -> Field:
    return image + scale(rng, low, high) * cloud(rng, between(rng, 0.2, 1.2))[..., None]


def _lattice(rng: Rng, coordinate: Field, pitch: float) -> Field:
    """Return the distance to the nearest line of a lattice of lines, pixels."""
    shifted = coordinate + np.float32(between(rng, 0, pitch))
    return np.asarray(np.abs((shifted / pitch + 0.5) % 1 - 0.5) * np.float32(pitch))


def tiles(rng: Rng) -> Surface:
    """Tiles or bricks with joints; each tile of a slightly different shade."""
    along, across = rotated(rng.normal(0, 0.05) + (np.pi / 4 if chance(rng, 0.15) else 0))
    pitch, aspect = scale(rng, 25, 120), scale(rng, 0.4, 1.0)
    level = across / (pitch * aspect) + rng.random()
    row = np.floor(level)
    shifted = along / pitch + (row % 2) * 0.5 * chance(rng, 0.4) + rng.random()
    number = (np.floor(shifted) * 7 + row * 13).astype(int) % 16
    to_side, to_end = (np.abs((place + 0.5) % 1 - 0.5) * pitch for place in (level, shifted))
    joint = np.minimum(to_side * aspect, to_end)
    base = colour(rng, 0.3, 0.9)
    shades = np.stack([near(rng, base, scale(rng, 0.003, 0.06)) for _ in range(16)])[number]
    line = 1 - edge((joint - between(rng, 0.7, 3)).astype(np.float32), 1.5)
    image = shades + line[..., None] * (colour(rng, 0.1, 0.9) - shades)
    return surface(rng, _grain(rng, image.astype(np.float32)))


def mesh(rng: Rng) -> Surface:
    """Wire mesh, grilles, honeycombs, graph paper: two or three systems of lines."""
    pitch = scale(rng, 9, 50)
    width = pitch * between(rng, 0.08, 0.3)
    first = between(rng, 0, np.pi)
    turns = (0, 1 / 3, 2 / 3) if chance(rng, 0.3) else (0, 1 / 2)
    distance = np.full((SIDE, SIDE), 1e3, np.float32)
    for turn in turns:
        along, _ = rotated(first + np.pi * turn)
        distance = np.minimum(distance, _lattice(rng, along, pitch))
    dark, bright = colour(rng, 0.0, 0.4), colour(rng, 0.5, 1.0)
    share = edge(width - distance, 1.5)
    image = mix(share, dark, bright) if chance(rng, 0.5) else mix(share, bright, dark)
    return surface(rng, _grain(rng, image))


def perforated(rng: Rng) -> Surface:
    """A plate with a lattice of round holes or printed dots."""
    pitch, angle = scale(rng, 10, 50), between(rng, 0, np.pi)
    along, across = rotated(angle)
    row = np.floor(across / pitch)
    u = (along / pitch + 0.5 * (row % 2) * chance(rng, 0.5)) % 1 - 0.5
    v = (across / pitch) % 1 - 0.5
    share = edge((between(rng, 0.15, 0.4) - np.hypot(u, v)).astype(np.float32) * np.float32(pitch), 1.5)
    plate = painted(rng, cloud(rng, between(rng, 0.5, 1.5)), contrast=scale(rng, 0.005, 0.05))
    image = plate + share[..., None] * (colour(rng, 0.0, 1.0) - plate)
    return surface(rng, image)


def grooves(rng: Rng) -> Surface:
    """Corrugated, ribbed or striped surfaces; threads of a screw; blinds."""
    along, _ = rotated(between(rng, 0, np.pi) if chance(rng, 0.5) else float(rng.integers(0, 2)) * np.pi / 2)
    pitch = scale(rng, 5, 60)
    wave = np.sin(2 * np.pi * (along / pitch + 0.03 * cloud(rng, 2.2)))
    share = 0.5 + 0.5 * np.tanh(wave * scale(rng, 0.5, 6)) / np.tanh(3.0)
    base = colour(rng, 0.1, 0.9)
    other = near(rng, base, 0.15)
    return surface(rng, _grain(rng, mix(share.astype(np.float32), base, other)))


def solar_cell(rng: Rng) -> Surface:
    """A luminescence picture of a solar cell: bus bars, fine fingers, grains or rings, dim rims."""
    y, x = coordinates()
    bright = _silicon(rng)
    bright *= 1 - between(rng, 0, 0.35) * (np.maximum(np.abs(y), np.abs(x)) / 120) ** scale(rng, 2, 14)
    fingers = _lattice(rng, y + 0 * x, scale(rng, 3, 8))
    bright *= 1 - between(rng, 0, 0.12) * edge(0.8 - fingers, 1.5)
    bars = int(rng.integers(2, 6))
    offset = np.abs(((y + SIDE / 2) / SIDE * bars) % 1 - 0.5) * SIDE / bars
    bar = edge((between(rng, 1, 3.5) - offset + 0 * x).astype(np.float32), 1.2)
    bright *= 1 - bar * (between(rng, 0.4, 0.95) if chance(rng, 0.85) else -0.3)
    half = between(rng, 112, 121)
    outline = superellipse((119.5, 119.5), (half, half), scale(rng, 6, 60), 0.0)
    inside = edge(outline, 2.0)
    image = (bright * inside + between(rng, 0, 0.12) * (1 - inside))[..., None] * np.ones(3, np.float32)
    if chance(rng, 0.5):
        image = image.transpose(1, 0, 2)
        outline = outline.T
    found = surface(rng, _grain(rng, np.ascontiguousarray(image), 0.003, 0.03), outline > 3)
    found.behind = np.full(3, 0.05, np.float32)
    found.steady, found.own = True, ("cut_off", "dimmed", "cut_off", "cracked", "lost_line")
    return found


def _silicon(rng: Rng) -> Field:
    """Return a wafer's brightness: grains with dark dislocations, which are usual, or faint rings."""
    y, x = coordinates()
    bright: Field = np.full((SIDE, SIDE), between(rng, 0.42, 0.75), np.float32)
    if chance(rng, 0.55):
        number, _ = cells(rng, int(scale(rng, 15, 150)), 1.5)
        bright *= (1 + rng.normal(0, between(rng, 0.01, 0.08), 400))[number % 400].astype(np.float32)
        threads = np.clip(cloud(rng, 1.4) - between(rng, 0.5, 1.8), 0, None)
        bright *= 1 - np.clip(between(rng, 0.0, 0.25) * threads, 0, 0.5)
    else:
        bright *= 1 + between(rng, 0, 0.08) * np.cos(np.hypot(y, x) / scale(rng, 15, 60)).astype(np.float32)
    bright *= 1 + between(rng, 0.0, 0.05) * cloud(rng, 2.0)
    return bright


def circuit(rng: Rng) -> Surface:
    """A circuit board: traces, pads, holes and chips on a coloured mask."""
    board = colour(rng, 0.1, 0.5, 0.9)
    image = painted(rng, cloud(rng, 1.0), contrast=scale(rng, 0.003, 0.02), base=board)
    trace = near(rng, board, 0.1) + np.float32(0.08)
    step = int(rng.integers(8, 20))
    lines, widths = [], []
    for _ in range(int(rng.integers(6, 26))):
        row, column = (float(v) * step for v in rng.integers(0, SIDE // step, 2))
        line = [(row, column)]
        for _ in range(int(rng.integers(2, 5))):
            reach = float(rng.integers(1, 9)) * step
            dy, dx = ((0, 1), (1, 0), (1, 1), (1, -1), (0, -1))[rng.integers(0, 5)]
            row, column = row + dy * reach, column + dx * reach
            line.append((row, column))
        lines.append(line)
        widths.append(between(rng, 1.5, 4))
    image = image + stroke(lines, widths)[..., None] * (trace - image)
    metal = colour(rng, 0.55, 0.95, 0.3)
    for line in lines:
        for row, column in (line[0], line[-1]):
            image = _on(image, row, column, step * 0.35, metal, colour(rng, 0.0, 0.2))
    for _ in range(int(rng.integers(0, 4))):
        image = _chip(rng, image, metal)
    return surface(rng, _grain(rng, image.astype(np.float32), 0.003, 0.02))


def _on(image: Field, row: float, column: float, radius: float, metal: Field, hole: Field) -> Field:
    if not (0 <= row < SIDE and 0 <= column < SIDE):
        return image
    reach = int(radius) + 3
    top, left = max(0, int(row) - reach), max(0, int(column) - reach)
    rows, columns = np.ogrid[top : min(SIDE, int(row) + reach), left : min(SIDE, int(column) + reach)]
    distance = np.hypot(rows - row, columns - column).astype(np.float32)
    part = image[top : top + distance.shape[0], left : left + distance.shape[1]]
    part = part + edge(radius - distance)[..., None] * (metal - part)
    part = part + edge(radius * 0.45 - distance)[..., None] * (hole - part)
    image[top : top + distance.shape[0], left : left + distance.shape[1]] = part
    return image


def _chip(rng: Rng, image: Field, metal: Field) -> Field:
    centre = (between(rng, 20, 220), between(rng, 20, 220))
    half = (between(rng, 8, 35), between(rng, 8, 35))
    pins = rectangle(centre, (half[0] + 5, half[1] * 0.9))
    _, x = coordinates()
    comb = ((x / between(rng, 4, 8)) % 1 < 0.5).astype(np.float32)
    image = image + (pins * comb)[..., None] * (metal - image)
    body = rectangle(centre, half)[..., None]
    return image + body * (colour(rng, 0.03, 0.25) - image)


def wafer(rng: Rng) -> Surface:
    """Equal dies, keys, cells of a display: one small picture repeated on a lattice."""
    down, across = (int(scale(rng, 16, 70)) for _ in range(2))
    tile = np.broadcast_to(colour(rng, 0.1, 0.9), (down, across, 3)).copy()
    for _ in range(int(rng.integers(2, 7))):
        top, left = int(rng.integers(0, down - 3)), int(rng.integers(0, across - 3))
        bottom, right = int(rng.integers(top + 2, down + 1)), int(rng.integers(left + 2, across + 1))
        tile[top:bottom, left:right] = near(rng, tile[top, left], 0.2)
    reps = (SIDE // down + 2, SIDE // across + 2, 1)
    top, left = int(rng.integers(0, down)), int(rng.integers(0, across))
    image = np.tile(tile, reps)[top : top + SIDE, left : left + SIDE].astype(np.float32)
    return surface(rng, _grain(rng, image, 0.003, 0.03))


def printed(rng: Rng) -> Surface:
    """Labels and prints: lines of marks like letters, bars and frames on a light ground."""
    ground = painted(rng, cloud(rng, 1.5), contrast=scale(rng, 0.003, 0.02), base=colour(rng, 0.6, 1.0))
    ink = colour(rng, 0.0, 0.4, 0.8)
    size = between(rng, 8, 30)
    lines, widths = [], []
    for row in np.arange(size, SIDE - size / 2, size * between(rng, 1.2, 2.2)):
        column = size * 0.5
        while column < SIDE - size and chance(rng, 0.93):
            if chance(rng, 0.85):
                for _ in range(int(rng.integers(1, 4))):
                    ends = rng.uniform(0, size * 0.7, (2, 2)) + np.array([row - size * 0.35, column])
                    lines.append([(float(r), float(c)) for r, c in ends])
                    widths.append(size * 0.12)
            column += size * 0.8
    share = stroke(lines, widths)
    return surface(rng, _grain(rng, ground + share[..., None] * (ink - ground), 0.003, 0.02))


def bars(rng: Rng) -> Surface:
    """Bars, rails, cables, shelves side by side: shaded cylinders across the picture."""
    along, across = rotated(float(rng.integers(0, 2)) * np.pi / 2 + rng.normal(0, 0.05))
    pitch = scale(rng, 20, 110)
    place = (across / pitch + rng.random()) % 1 - 0.5
    filled = between(rng, 0.25, 0.5)
    round_ = np.sqrt(np.clip(1 - (place / filled) ** 2, 0, 1)).astype(np.float32)
    base, gap = colour(rng, 0.3, 0.9), colour(rng, 0.0, 0.5)
    inside = edge(((filled - np.abs(place)) * pitch).astype(np.float32), 1.5)
    body = base * (0.35 + 0.65 * round_[..., None])
    image = gap + inside[..., None] * (body - gap) + 0.02 * band(rng, 6)[..., None] * rng.random()
    where = inside > 0.5 if chance(rng, 0.7) else None  # else defects lie in the gaps as well
    return surface(rng, _grain(rng, (image + 0 * along[..., None]).astype(np.float32)), where)


def rings(rng: Rng) -> Surface:
    """Turned parts, targets, bearings, plates: concentric rings of different finish."""
    centre = (between(rng, 90, 150), between(rng, 90, 150))
    base = colour(rng, 0.2, 0.85)
    image = painted(rng, cloud(rng, 0.6), contrast=scale(rng, 0.005, 0.04), base=colour(rng, 0, 1))
    outer = between(rng, 80, 115)
    for share in np.sort(rng.uniform(0.1, 1, int(rng.integers(2, 7))))[::-1]:
        shape = ellipse(centre, outer * float(share))[..., None]
        image = image + shape * (near(rng, base, 0.12) - image)
    where = ellipse(centre, outer) > 0.5
    return surface(rng, _grain(rng, image), where)
