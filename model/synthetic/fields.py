"""Random scalar fields over the picture: noise of a given spectrum, cells, rotated coordinates."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.spatial import cKDTree

SIDE = 240
"""Side of a scene, pixels; the camera enlarges it."""

Field = NDArray[np.floating[Any]]
Rng = np.random.Generator


@lru_cache(maxsize=1)
def frequencies() -> tuple[Field, Field]:
    """Return (SIDE, 1) and (1, SIDE // 2 + 1) frequencies of the real transform, cycles a pixel."""
    down, across = np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE)
    return down.astype(np.float32)[:, None], across.astype(np.float32)[None]


@lru_cache(maxsize=1)
def coordinates() -> tuple[Field, Field]:
    """Return rows (SIDE, 1) and columns (1, SIDE), pixels from the centre."""
    axis = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    return axis[:, None], axis[None]


def rotated(angle: float) -> tuple[Field, Field]:
    """Return coordinates (SIDE, SIDE) along and across a direction given in radians, pixels."""
    y, x = coordinates()
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * x + s * y, c * y - s * x


def standard(field: Field) -> Field:
    """Shift and scale to mean 0 and standard deviation 1."""
    return np.asarray((field - field.mean()) / (field.std() + np.float32(1e-6)))


def filtered(rng: Rng, gain: Field) -> Field:
    """Return standardised Gaussian noise (SIDE, SIDE) with the spectrum ``gain`` (SIDE, SIDE // 2 + 1)."""
    white = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
    return standard(fft.irfft2(fft.rfft2(white) * gain, s=(SIDE, SIDE)))


def cloud(rng: Rng, beta: float, stretch: float = 1.0, angle: float = 0.0) -> Field:
    """Return noise whose amplitude falls as frequency ** -beta, stretched along a direction.

    beta 0 is white, 1 rough stone, 2 and more smooth clouds. stretch above 1 draws it out along ``angle``.
    """
    fy, fx = frequencies()
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = (c * fx + s * fy) * np.float32(stretch), c * fy - s * fx
    radius = np.sqrt(along**2 + across**2) + np.float32(1 / SIDE)
    return filtered(rng, radius ** np.float32(-beta))


def band(rng: Rng, wavelength: float, width: float = 0.3) -> Field:
    """Return noise of about one wavelength in pixels; width is the relative spread of frequencies."""
    fy, fx = frequencies()
    radius = np.sqrt(fx**2 + fy**2)
    centre = 1 / wavelength
    return filtered(rng, np.exp(-0.5 * ((radius - centre) / (width * centre)) ** 2).astype(np.float32))


def blurred(field: Field, sigma: float) -> Field:
    """Smooth (SIDE, SIDE) or (SIDE, SIDE, 3) with a Gaussian along rows and columns."""
    sigmas = (sigma, sigma, 0)[: field.ndim]
    return ndimage.gaussian_filter(field, sigmas, mode="reflect", truncate=3)


def cells(rng: Rng, count: int, jitter: float = 1.0) -> tuple[NDArray[np.intp], Field]:
    """Return Voronoi cells: each pixel's cell number, and its distance to the border, pixels.

    jitter 0 is a regular lattice, 1 and more irregular.
    """
    across = max(2, round(count**0.5))
    step = SIDE / across
    lattice = (_places(-1, across + 1) + 0.5) * step
    points = lattice + rng.uniform(-0.5, 0.5, lattice.shape) * step * jitter
    found = cKDTree(points).query(_places(0, SIDE), k=2)
    distance, near = np.asarray(found[0], np.float32), np.asarray(found[1])
    border = (distance[:, 1] - distance[:, 0]) / 2
    return near[:, 0].reshape(SIDE, SIDE), border.reshape(SIDE, SIDE)


def _places(start: int, stop: int) -> Field:
    """Return the rows and columns (n, 2) of a square of whole numbers."""
    return np.indices((stop - start, stop - start), np.float32).reshape(2, -1).T + np.float32(start)


def edge(distance: Field, soft: float = 1.0) -> Field:
    """Map a signed distance in pixels to 0..1: 1 well inside (positive), 0 outside, a soft edge between."""
    return np.asarray(np.clip(distance / np.float32(soft) + np.float32(0.5), 0, 1))


def between(rng: Rng, low: float, high: float) -> float:
    """Draw uniformly."""
    return float(rng.uniform(low, high))


def scale(rng: Rng, low: float, high: float) -> float:
    """Draw uniformly in the logarithm: for sizes and strengths."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def chance(rng: Rng, probability: float) -> bool:
    """Return True with a probability."""
    return bool(rng.random() < probability)
