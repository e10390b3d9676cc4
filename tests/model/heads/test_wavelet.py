"""The library's transforms against PyWavelets, and the branch as the text has it."""

import subprocess
import sys

import numpy as np
import pytest
import pywt
import torch
from torch.nn import functional

from s2sw.model.heads.wavelet import LibraryTransforms, WaveletBranch


def reference(p: np.ndarray) -> np.ndarray:
    """The branch through PyWavelets, one signal (N, C)."""
    a, details = pywt.swt2(p, "sym2", level=1)[0]
    undecimated = 0.1 * a + 0.9 * sum(details)
    low, bands = pywt.dwt2(p, "haar", mode="symmetric")
    coarse = torch.from_numpy(0.9 * low + 0.1 * np.mean(bands, axis=0))[None, None]
    coarse = functional.interpolate(coarse, size=p.shape, mode="bilinear", align_corners=False)[0, 0].numpy()
    return 0.99 * coarse + 0.01 * undecimated


def test_transforms_equal_pywavelets():
    branch = LibraryTransforms()
    p = np.random.default_rng(0).standard_normal((50, 96))
    signal = torch.from_numpy(p).float()[None, None]
    a, (h, v, d) = pywt.swt2(p, "sym2", level=1)[0]
    np.testing.assert_allclose(branch.stationary(signal)[0][0], np.stack([a, h, v, d]), atol=2e-6)
    low, high = branch.decimated(signal)
    expected_low, expected_high = pywt.dwt2(p, "haar", mode="symmetric")
    np.testing.assert_allclose(low[0, 0], expected_low, atol=2e-6)
    np.testing.assert_allclose(high[0][0, 0], np.stack(expected_high), atol=2e-6)


@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 10, 4), (2, 226, 96), (1, 1370, 768)])
def test_branch_equals_the_library(shape):
    p = torch.randn(shape, generator=torch.Generator().manual_seed(4))
    library = LibraryTransforms()
    signal = p.unsqueeze(1)
    torch.testing.assert_close(WaveletBranch().undecimated(p), library.undecimated(signal)[:, 0])
    low = functional.interpolate(library.coarse(signal), size=shape[1:], mode="bilinear", align_corners=False)
    expected = 0.99 * low + 0.01 * library.undecimated(signal)
    torch.testing.assert_close(WaveletBranch()(p), expected[:, 0])


def test_branch_equals_pywavelets():
    p = np.random.default_rng(1).standard_normal((3, 226, 128))
    found = WaveletBranch()(torch.from_numpy(p).float())
    np.testing.assert_allclose(found, np.stack([reference(one) for one in p]), atol=3e-6)


def test_import_is_silent():
    """The library's import warns about pkg_resources; users cannot act on it."""
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", "import s2sw.model.heads.wavelet"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pkg_resources" not in done.stderr
