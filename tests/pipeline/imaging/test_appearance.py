"""Brightness and sharpness as their definitions say, in float64."""

import numpy as np
import pytest

from s2sw.pipeline.imaging.appearance import brightness, sharpness


def plain(pixels: np.ndarray) -> float:
    grey = pixels.astype(np.float64)
    grey = grey.mean(2) if grey.ndim == 3 else grey
    down, right = np.abs(grey[1:] - grey[:-1]).mean(), np.abs(grey[:, 1:] - grey[:, :-1]).mean()
    return float((down + right) / 2 / grey.std())


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3), (336, 336, 3), (2, 9)])
def test_sharpness_is_the_mean_step_over_the_deviation(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert sharpness(pixels) == pytest.approx(plain(pixels), rel=1e-4)
    assert brightness(pixels) == pytest.approx(pixels.mean())


def test_a_picture_without_steps_has_no_sharpness() -> None:
    assert sharpness(np.full((9, 9, 3), 7, np.uint8)) == 0
    assert sharpness(np.arange(9, dtype=np.uint8)[None]) == 0


def test_neither_brightness_nor_contrast_changes_sharpness() -> None:
    pixels = np.random.default_rng(1).integers(0, 100, (60, 60, 3), dtype=np.uint8)
    assert sharpness(2 * pixels + 20) == pytest.approx(sharpness(pixels), rel=1e-4)
