"""Full maps against SciPy's Gaussian and PyTorch's bilinear resizing, and without any detector."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from model.maps import axis_operator, full_map


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
    operator = axis_operator(37, 518, 1000)
    np.testing.assert_allclose(operator.sum(axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        operator[0, 0] = 1


def test_needs_no_torch():
    code = "import sys, model.maps; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
