"""A slice on a self-contained page: its picture, the map and the mask's outline over it, and a scale bar."""

import base64
import math
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from s2sw.connectors.geometry import Geometry
from s2sw.pipeline.imaging.encoding import fitting, jpeg_bytes, png_bytes, squared
from s2sw.pipeline.imaging.outlines import covered, outline_path
from s2sw.pipeline.imaging.overlays import HEAT, OPACITY, coloured

BAR_SHARE = 0.3
"""Of a picture's width, at most, that its scale bar takes."""
GREY = 128
"""Behind the legend of colours: a map's are seen through on the slice."""


@dataclass(frozen=True)
class ScaleBar:
    """A length that a picture shows. share: of its width, 0..1."""

    share: float
    text: str


@dataclass(frozen=True)
class Overlaid:
    """What the macro ``overlaid`` draws. picture: data URI; rows, cols: its size in pixels.

    outline: SVG path data. bar: where the size of a pixel is known. layer: data URI of the map in colours,
    and its lowest and highest value; None where there is no map.
    """

    picture: str
    rows: int
    cols: int
    outline: str
    bar: ScaleBar | None = None
    layer: str | None = None
    lowest: float | None = None
    highest: float | None = None


def overlaid(
    pixels: NDArray[np.uint8],
    heat: NDArray[np.float32] | None,
    mask: NDArray[np.bool_],
    plane: Geometry,
    side: int,
) -> Overlaid:
    """Return a slice as a page shows it: its longer side at most so many pixels, its pixels made squares.

    pixels: uint8 (rows, cols) or (rows, cols, 3). heat: float32 of any size. mask: bool of any size.
    """
    rows, cols = fitting(*squared(pixels.shape[0], pixels.shape[1], plane.aspect), side)
    found = Overlaid(
        picture=data_uri("jpeg", jpeg_bytes(_resized(Image.fromarray(pixels).convert("RGB"), rows, cols))),
        rows=rows,
        cols=cols,
        outline=outline_path(covered(mask, rows, cols)),
        bar=scale_bar(plane, pixels.shape[1]),
    )
    if heat is None:
        return found
    layer = data_uri("png", png_bytes(_resized(coloured(heat), rows, cols)))
    return replace(found, layer=layer, lowest=float(heat.min()), highest=float(heat.max()))


def scale_bar(plane: Geometry, cols: int) -> ScaleBar | None:
    """Return the bar of a picture of so many columns: 1, 2 or 5 times a power of ten millimetres."""
    if plane.spacing is None:
        return None
    width = plane.spacing[1] * cols
    most = width * BAR_SHARE
    power = 10.0 ** math.floor(math.log10(most))
    # a rounded logarithm can make the power itself a trifle longer
    length = next((factor * power for factor in (5, 2) if factor * power <= most), power)
    # sizes of a projection are those of its shadow
    return ScaleBar(length / width, f"{length:g} mm{'' if plane.in_patient else ' at the detector'}")


def legend_style() -> Markup:
    """Return the style of the legend: the map's colours from its lowest value to its highest."""
    steps = [
        f"rgb({' '.join(f'{channel:g}' for channel in colour)} / {OPACITY * place / (len(HEAT) - 1):.4f})"
        for place, colour in enumerate(HEAT)
    ]
    grey = f"rgb({GREY} {GREY} {GREY})"
    return Markup(f".ramp {{ background: linear-gradient(to right, {', '.join(steps)}), {grey}; }}")  # noqa: S704 (numbers)


def _resized(image: Image.Image, rows: int, cols: int) -> Image.Image:
    return image.resize((cols, rows), Image.Resampling.BILINEAR, reducing_gap=2.0)


def data_uri(kind: str, data: bytes) -> str:
    """Return an image file as a data URI. kind: jpeg or png."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
