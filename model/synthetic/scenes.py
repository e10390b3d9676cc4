"""Scenes from a seed: a surface, what belongs to it, a camera, and the same with defects."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from s2sw.model.synthetic.blemishes import blemish
from s2sw.model.synthetic.camera import Camera, Picture, draw_camera
from s2sw.model.synthetic.colours import Surface
from s2sw.model.synthetic.distractors import distract
from s2sw.model.synthetic.fields import SIDE, Field, Rng, between, blurred, chance, scale
from s2sw.model.synthetic.kinds import (
    DEFECTS,
    HELD_OUT_DEFECTS,
    HELD_OUT_SURFACES,
    OWN_ONLY,
    READ,
    SURFACES,
    WEIGHTS,
)

TRIES = 5
CLEAR = 0.045
"""A defect changes the brightness by more than this on average: more than what blemishes do."""
SEEN = 0.02
"""A pixel belongs to a defect where it changes the brightness by more than this, or near such pixels."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture (PICTURE, PICTURE, 3) uint8, its mask (SIDE, SIDE) bool, and which kinds it is made of."""

    picture: Picture
    mask: NDArray[np.bool_]
    surface: str
    defect: str


@dataclass(frozen=True, slots=True)
class Mixture:
    """Names of surfaces and defects; difficulty 0 is large and plain, 1 reaches down to small and faint."""

    surfaces: Sequence[str]
    defects: Sequence[str]
    difficulty: float

    def surface_name(self, rng: Rng) -> str:
        """Draw a kind of surface by its weight."""
        return _weighted(rng, self.surfaces)

    def defect_name(self, rng: Rng) -> str:
        """Draw a kind of defect by its weight."""
        return _weighted(rng, self.defects)


def training_mixture(difficulty: float, *, photographs: bool = False) -> Mixture:
    """Return all kinds but those held out; photographs: with parts of real ones as surfaces."""
    left_out = HELD_OUT_SURFACES if photographs else (*HELD_OUT_SURFACES, *READ)
    return Mixture(
        [name for name in SURFACES if name not in left_out],
        [name for name in DEFECTS if name not in (*HELD_OUT_DEFECTS, *OWN_ONLY)],
        difficulty,
    )


def held_out_mixture(difficulty: float = 0.8) -> Mixture:
    """Return surfaces that training never sees, with all defects, the unseen ones among them."""
    return Mixture(HELD_OUT_SURFACES, [name for name in DEFECTS if name not in OWN_ONLY], difficulty)


def draw_pair(rng: Rng, mixture: Mixture) -> tuple[Scene, Scene]:
    """Draw one scene without and with defects: the same surface under the same camera, other noise.

    So that nothing but the defect tells the two apart.
    """
    name = mixture.surface_name(rng)
    surface = SURFACES[name](rng)
    distract(rng, surface)
    blemish(rng, surface)
    return _pair(rng, surface, draw_camera(rng, steady=surface.steady), mixture, name)


def draw_kin(rng: Rng, mixture: Mixture, count: int) -> tuple[list[Scene], tuple[Scene, Scene]]:
    """Draw ``count`` normal pictures of one kind, and a pair of a further one without and with defects.

    One surface under one camera: either other parts of it, turned at times, as of a material, or about the
    same view, as of parts in one mount. Blemishes differ from picture to picture.
    """
    name = mixture.surface_name(rng)
    surface = SURFACES[name](rng)
    distract(rng, surface)
    camera = draw_camera(rng, steady=surface.steady)
    length = int(SIDE * (between(rng, 0.5, 0.8) if chance(rng, 0.5) else between(rng, 0.93, 0.99)))
    views = [camera.looking(rng, length) for _ in range(count + 1)]
    normals = [_normal(rng, _blemished(rng, surface), view, name) for view in views[:-1]]
    return normals, _pair(rng, _blemished(rng, surface), views[-1], mixture, name)


def draw_archive(rng: Rng, mixture: Mixture, normals: int, spoilt: int, how: str) -> list[Scene]:
    """Draw normal pictures of an archive, and behind them some with defects.

    how: "one surface" under one camera, which looks at other parts of it; "one kind" of surface, each picture
    another one; or "mixed" kinds.
    """
    if how == "one kind":
        mixture = replace(mixture, surfaces=[mixture.surface_name(rng)])
    first = _setting(rng, mixture)
    length = int(SIDE * between(rng, 0.6, 0.95))
    scenes = []
    for row in range(normals + spoilt):
        name, surface, camera = first if how == "one surface" else _setting(rng, mixture)
        own = _blemished(rng, surface)
        view = camera.looking(rng, length) if how == "one surface" else camera
        scenes.append(
            _normal(rng, own, view, name) if row < normals else _pair(rng, own, view, mixture, name)[1]
        )
    return scenes


def _setting(rng: Rng, mixture: Mixture) -> tuple[str, Surface, Camera]:
    name = mixture.surface_name(rng)
    surface = SURFACES[name](rng)
    distract(rng, surface)
    return name, surface, draw_camera(rng, steady=surface.steady)


def _blemished(rng: Rng, surface: Surface) -> Surface:
    own = replace(surface)
    blemish(rng, own)
    return own


def _normal(rng: Rng, surface: Surface, camera: Camera, name: str) -> Scene:
    return Scene(camera.take(rng, surface.image), np.zeros(surface.where.shape, bool), name, "")


def _pair(rng: Rng, surface: Surface, camera: Camera, mixture: Mixture, name: str) -> tuple[Scene, Scene]:
    if (surface.where & camera.sees).any():
        surface.where = surface.where & camera.sees
    else:  # the window shows nothing that can have a defect
        camera = camera.whole()
    normal = _normal(rng, surface, camera, name)
    image, mask, defect = spoil(rng, surface, camera, mixture)
    return normal, Scene(camera.take(rng, image), camera.framed(mask), name, defect)


def spoil(
    rng: Rng, surface: Surface, camera: Camera, mixture: Mixture
) -> tuple[Field, NDArray[np.bool_], str]:
    """Return the image with one to three defects of one kind, their mask, and the kind's name."""
    kind = mixture.defect_name(rng)
    if surface.own and chance(rng, 0.6):
        kind = surface.own[int(rng.integers(0, len(surface.own)))]
    count = 1 if chance(rng, 0.75) else int(rng.integers(2, 4))
    image, mask = surface.image, np.zeros(surface.where.shape, bool)
    for _ in range(count):
        for attempt in range(TRIES):
            name = kind if attempt < TRIES - 1 else "hole"
            size, strength = _extent(rng, mixture.difficulty, attempt)
            changed, share = DEFECTS[name](rng, Surface(image, surface.where, surface.behind), size, strength)
            found = _visible(image, changed.astype(np.float32), share, camera)
            if found is not None:
                image, mask, kind = changed.astype(np.float32), mask | found, name
                break
    if not mask.any():  # nowhere it could be seen: on black, say
        image = image.copy()
        image[100:140, 100:140] = 1 - image[100:140, 100:140].round()
        mask[100:140, 100:140] = True
    return image, mask, kind


def _extent(rng: Rng, difficulty: float, attempt: int) -> tuple[float, float]:
    """Draw size (pixels) and strength; each attempt makes it larger and stronger."""
    ease = 1.0 - difficulty * rng.random() ** 0.7
    size = scale(rng, 2.5 + 12 * ease, 62) if chance(rng, 0.5) else scale(rng, 2.5 + 9 * ease, 14 + 12 * ease)
    strength = scale(rng, 0.12 + 0.2 * ease, 0.5 + 0.4 * ease)
    return min(size * 1.15**attempt, 64.0), min(strength * 1.5**attempt, 0.95)


def _visible(before: Field, after: Field, share: Field, camera: Camera) -> NDArray[np.bool_] | None:
    """Return where the defect shows, or None where the surface's own structure or noise would hide it."""
    rows, columns = np.nonzero(share > 0.1)
    if len(rows) < 3:
        return None
    margin = 8
    window = (
        slice(max(0, rows.min() - margin), rows.max() + margin),
        slice(max(0, columns.min() - margin), columns.max() + margin),
    )
    light = camera.light[window][..., None]
    before, after, share = np.clip(before[window], 0, 1), np.clip(after[window], 0, 1), share[window]
    changed = (np.abs(after - before) * light).mean(axis=2)
    inside = ndimage.binary_closing((share > 0.25) & (changed > SEEN), iterations=2) & (share > 0.1)
    area = int(inside.sum())
    if area < 4:
        return None
    grey = (before * light).mean(axis=2)
    structure = float((grey - blurred(grey, 3)).std())
    needed = CLEAR + (0.5 + 3 / np.sqrt(area)) * (0.7 * structure + camera.noise / (1 + camera.blur))
    if float(changed[inside].mean()) < needed:
        return None
    mask = np.zeros(camera.light.shape, bool)
    mask[window] = inside
    return mask


def _weighted(rng: Rng, names: Sequence[str]) -> str:
    weights = np.array([WEIGHTS.get(name, 1.0) for name in names])
    return names[int(rng.choice(len(names), p=weights / weights.sum()))]
