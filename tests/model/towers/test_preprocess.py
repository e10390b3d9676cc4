"""Resizing and normalising against Pillow and torchvision."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from s2sw.model.towers.normalisation import MEAN, STD
from s2sw.model.towers.preprocess import as_batch, normalize, resize_to_square

SIDES = st.integers(1, 120)


@settings(max_examples=40, deadline=None)
@given(rows=SIDES, cols=SIDES, side=st.integers(1, 80), seed=st.integers(0, 999))
def test_squash_equals_pillow(rows, cols, side, seed):
    """Also on pure noise of 0 and 255, which overshoots and is clipped."""
    rng = np.random.default_rng(seed)
    images = rng.choice(np.array([0, 255], np.uint8), (2, rows, cols, 3))
    expected = [np.asarray(Image.fromarray(i).resize((side, side), Image.Resampling.BICUBIC)) for i in images]
    np.testing.assert_array_equal(resize_to_square(as_batch(images), side), np.stack(expected))


def test_normalize():
    from torchvision.transforms import functional  # here: slow to import, in every process of the tests

    image = np.random.default_rng(2).integers(0, 256, (1, 30, 30, 3), dtype=np.uint8)
    expected = functional.normalize(functional.to_tensor(image[0]), list(MEAN), list(STD))
    mean, std = (torch.tensor(c).view(3, 1, 1) for c in (MEAN, STD))
    torch.testing.assert_close(normalize(as_batch(image), mean, std)[0], expected)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 1), np.uint8),
        np.zeros((1, 0, 8, 3), np.uint8),
    ],
)
def test_refuses_other_arrays(images):
    with pytest.raises(ValueError, match=r"takes uint8 \(B, H, W, 3\)"):
        as_batch(images)


def test_pictures_that_may_not_be_written_are_read_without_a_warning(recwarn):
    images = np.zeros((1, 4, 4, 3), np.uint8)
    images.flags.writeable = False
    assert not as_batch(images).any()
    assert not recwarn
