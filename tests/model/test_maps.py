"""Full maps against SciPy's Gaussian and PyTorch's bilinear resizing, and without any detector."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from s2sw.model.maps import MapLayer, axis_operators, bilinear, fitting, full_map, gaussian, layered_map


def step_by_step(tokens, side, size=None, smooth=True):
    x = functional.interpolate(torch.from_numpy(tokens)[:, None], size=(side, side), mode="bilinear")
    if smooth:
        x = torch.from_numpy(np.stack([gaussian_filter(m, sigma=4) for m in x[:, 0].numpy()]))[:, None]
    return (functional.interpolate(x, size=size, mode="bilinear") if size else x)[:, 0].numpy()


@pytest.mark.parametrize("size", [None, (64, 70), (40, 333), (1, 1)])
@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(("grid", "side"), [(37, 518), (15, 240), (5, 70), (1, 14), (7, 10)])
def test_equals_the_three_steps(grid, side, size, smooth):
    tokens = np.random.default_rng(grid).random((2, grid, grid), dtype=np.float32)
    found = full_map(tokens, side, size, smooth)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, step_by_step(tokens, side, size, smooth), atol=1e-5)


def test_one_map_without_a_batch_axis():
    tokens = np.random.default_rng(0).random((3, 5, 5), dtype=np.float32)
    np.testing.assert_array_equal(full_map(tokens[1], 70, (30, 20)), full_map(tokens, 70, (30, 20))[1])


def test_operator_keeps_constants_and_is_read_only():
    (operator,) = axis_operators(MapLayer(37, 518), 1000)
    np.testing.assert_allclose(operator.sum(axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        operator[0, 0] = 1


@pytest.mark.parametrize("size", [(70, 70), (64, 99)])
def test_layers_are_upsampled_each_in_its_own_way_and_summed(size):
    """Logits with corners aligned, whose sigmoid follows, and a smoothed grid of another detector."""
    layers = (
        MapLayer(5, 70, smooth=False, corners=True, logit=True, weight=0.25),
        MapLayer(5, 70, smooth=True, corners=True, logit=True, weight=0.5),
        MapLayer(3, 30, weight=0.25),
    )
    x = torch.randn(2, 59, generator=torch.Generator().manual_seed(1))
    sharp, soft, other = x[:, :25].reshape(2, 5, 5), x[:, 25:50].reshape(2, 5, 5), x[:, 50:].reshape(2, 3, 3)
    sharp, soft = (
        functional.interpolate(t[:, None], size=(70, 70), mode="bilinear", align_corners=True)
        .sigmoid().numpy()
        for t in (sharp, soft)
    )  # fmt: skip
    soft = np.stack([gaussian_filter(m, sigma=4) for m in soft[:, 0]])[:, None]
    large = functional.interpolate(torch.from_numpy(0.25 * sharp + 0.5 * soft), size=size, mode="bilinear")
    expected = large[:, 0].numpy() + 0.25 * step_by_step(other.numpy(), 30, size)
    np.testing.assert_allclose(layered_map(x.numpy(), layers, size), expected, atol=1e-5)


@pytest.mark.parametrize(("side", "grid"), [(98, 28), (240, 69), (518, 148)])
def test_a_fine_grid_holds_any_smoothed_map(side, grid):
    """Made by least squares from a map that is no upsampled grid: a product of two, with edges in it."""
    layer, rng = MapLayer(grid, side), np.random.default_rng(side)
    rough = bilinear(side // 14, side) @ rng.random((side // 14, side // 14)) @ bilinear(side // 14, side).T
    rough = np.where(rough > 0.5, rough, rough**2)
    fit = fitting(layer)
    smooth = gaussian_filter(rough, sigma=4)
    np.testing.assert_allclose(full_map((fit @ rough @ fit.T)[None], side)[0], smooth, atol=1e-4)


@pytest.mark.parametrize("border", ["reflect", "mirror", "constant"])
@pytest.mark.parametrize(
    ("size", "sigma", "radius"), [(7, 1.0, 3), (5, 1.5, 4), (37, 4.0, 2), (12, 4.0, None)]
)
def test_filters_are_those_of_scipy(size, sigma, radius, border):
    if border == "mirror" and radius is None:
        radius = size - 1
    grid = np.random.default_rng(size).random((size, size))
    along = gaussian(size, sigma, radius, border)
    expected = gaussian_filter(grid, sigma, mode=border, radius=radius)
    np.testing.assert_allclose(along @ grid @ along.T, expected, atol=1e-12)


def test_needs_no_torch():
    code = "import sys, s2sw.model.maps; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
