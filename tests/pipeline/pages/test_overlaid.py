"""Slices on pages: square pixels, a scale bar as long as it says, the legend of the map's colours."""

import base64
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from s2sw.connectors.geometry import Geometry
from s2sw.pipeline.imaging.outlines import covered, outline_path
from s2sw.pipeline.imaging.overlays import HEAT, OPACITY
from s2sw.pipeline.pages.overlaid import BAR_SHARE, legend_style, overlaid, scale_bar

PIXELS = np.full((40, 60), 90, np.uint8)
MASK = np.zeros((40, 60), np.bool_)
MASK[10:20, 30:50] = True


def image_of(uri: str | None) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode((uri or "").partition(",")[2])))


@pytest.mark.parametrize(("aspect", "size"), [(1.0, (60, 40)), (3.0, (60, 120)), (0.5, (120, 40))])
def test_pixels_are_squares_and_none_is_lost(aspect: float, size: tuple[int, int]) -> None:
    heat = np.linspace(0.1, 0.7, MASK.size, dtype=np.float32).reshape(MASK.shape)
    found = overlaid(PIXELS, heat, MASK, Geometry(aspect=aspect), side=200)
    assert (found.cols, found.rows) == size
    assert image_of(found.picture).size == image_of(found.layer).size == size
    assert found.outline == outline_path(covered(MASK, found.rows, found.cols)) != ""
    assert (found.lowest, found.highest) == pytest.approx((0.1, 0.7))
    assert found.bar is None


def test_large_slices_are_shown_smaller_at_the_same_aspect() -> None:
    found = overlaid(PIXELS, None, MASK, Geometry(aspect=3.0), side=60)
    assert (found.rows, found.cols) == (60, 30)
    assert (found.layer, found.lowest, found.highest) == (None, None, None)


@given(st.floats(1e-5, 1e3), st.integers(1, 20_000))
def test_the_bar_is_as_long_as_it_says(spacing: float, cols: int) -> None:
    bar = scale_bar(Geometry((1.0, spacing)), cols)
    assert bar is not None
    length, unit = bar.text.split()
    assert unit == "mm"
    assert bar.share * cols * spacing == pytest.approx(float(length))
    assert BAR_SHARE / 3 < bar.share <= BAR_SHARE * (1 + 1e-12)
    assert f"{float(length):.4e}"[:6] in ("1.0000", "2.0000", "5.0000")


def test_sizes_at_a_detector_are_said_to_be_that() -> None:
    bar = scale_bar(Geometry((0.2, 0.2), in_patient=False), 1000)
    assert bar is not None
    assert bar.text == "50 mm at the detector"
    assert scale_bar(Geometry(), 1000) is None


def test_the_legend_runs_through_the_colours_of_maps() -> None:
    style = str(legend_style())
    places = [style.index(f"rgb({red:g} {green:g} {blue:g} /") for red, green, blue in HEAT]
    assert places == sorted(places)
    assert f"/ {OPACITY:.4f})" in style
