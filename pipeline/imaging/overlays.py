"""Pictures of a slice with its anomaly map laid over it, for a person to look at."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2sw.pipeline.imaging.encoding import squared
from s2sw.pipeline.imaging.outlines import covered, outline

HEAT = np.array([(255, 255, 178), (254, 204, 92), (253, 141, 60), (240, 59, 32), (189, 0, 38)], np.float32)
"""ColorBrewer's YlOrRd in five steps: readable by colour-blind people, and unlike any grey."""
OPACITY = 0.55
SIDE = 480  # pixels of the longer side of a picture
GAP = 12  # pixels between two of them


def overlay(
    pixels: NDArray[np.uint8], heat: NDArray[np.float32], mask: NDArray[np.bool_], aspect: float = 1.0
) -> Image.Image:
    """Return the slice, and right of it the slice with the map in colours and the mask outlined in white.

    No words are drawn: they go beside the picture, or into its file (``png_bytes``).

    pixels: uint8 (rows, cols) or (rows, cols, 3). heat: float32 (rows, cols), the map, stretched to its own
    range so that faint ones show. mask: bool (rows, cols). aspect: height of a pixel by its width, which the
    picture then has.
    """
    rows, cols = _shown_size(*squared(pixels.shape[0], pixels.shape[1], aspect))
    plain = Image.fromarray(pixels).convert("RGB").resize((cols, rows))
    canvas = Image.new("RGB", (2 * cols + GAP, rows), (24, 24, 24))
    canvas.paste(plain, (0, 0))
    # outlined at the size that is looked at: the line is as wide whatever the slice's own size
    shown = _painted(plain, coloured(heat).resize((cols, rows)), covered(mask, rows, cols))
    canvas.paste(shown, (cols + GAP, 0))
    return canvas


def laid_over(pixels: NDArray[np.uint8], heat: NDArray[np.float32], mask: NDArray[np.bool_]) -> Image.Image:
    """Return the slice, RGB, with map and mask over it at its own size; arrays as of ``overlay``."""
    return _painted(Image.fromarray(pixels).convert("RGB"), coloured(heat), mask)


def coloured(heat: NDArray[np.float32]) -> Image.Image:
    """Return a map, float32 (rows, cols), in colours, RGBA: the clearer, the less anomalous."""
    low, high = float(heat.min()), float(heat.max())
    share = (heat - low) / max(high - low, 1e-6)
    steps = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(share, steps, HEAT[:, channel]) for channel in range(3)]
    return Image.fromarray(np.stack([*channels, 255 * OPACITY * share], axis=-1).astype(np.uint8))


def _painted(plain: Image.Image, colours: Image.Image, mask: NDArray[np.bool_]) -> Image.Image:
    """Return a picture with colours over it and the mask outlined, all of one size."""
    painted = np.array(Image.alpha_composite(plain.convert("RGBA"), colours).convert("RGB"))
    painted[outline(mask)] = 255
    return Image.fromarray(painted)


def _shown_size(rows: int, cols: int) -> tuple[int, int]:
    """Return the size at which the longer side has SIDE pixels."""
    scale = SIDE / max(rows, cols)
    return max(1, round(rows * scale)), max(1, round(cols * scale))
