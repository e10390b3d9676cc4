"""Pictures of a slice with its anomaly map laid over it, for a person to look at."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEAT = np.array([(255, 255, 178), (254, 204, 92), (253, 141, 60), (240, 59, 32), (189, 0, 38)], np.float32)
"""ColorBrewer's YlOrRd in five steps: readable by colour-blind people, and unlike any grey."""
OPACITY = 0.55
SIDE = 480  # pixels of the longer side of a picture
GAP = 12  # pixels between two of them


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.float32], mask: NDArray[np.bool_]) -> Image.Image:
    """Return the slice, and right of it the slice with the map in colours and the mask outlined in white.

    No words are drawn: they go beside the picture, or into its file (``png_bytes``).

    pixels: uint8 (rows, cols) or (rows, cols, 3). heat: float32 (rows, cols), the map, stretched to its own
    range so that faint ones show. mask: bool (rows, cols).
    """
    plain = Image.fromarray(pixels).convert("RGB")
    return _side_by_side(plain, laid_over(pixels, heat, mask))


def laid_over(pixels: NDArray[np.uint8], heat: NDArray[np.float32], mask: NDArray[np.bool_]) -> Image.Image:
    """Return the slice, RGB, with map and mask over it; arrays as of ``overlay``."""
    return Image.alpha_composite(Image.fromarray(pixels).convert("RGBA"), layer(heat, mask)).convert("RGB")


def layer(heat: NDArray[np.float32], mask: NDArray[np.bool_]) -> Image.Image:
    """Return map and mask alone, RGBA: the clearer, the less anomalous; arrays as of ``overlay``."""
    low, high = float(heat.min()), float(heat.max())
    share = (heat - low) / max(high - low, 1e-6)
    steps = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(share, steps, HEAT[:, channel]) for channel in range(3)]
    painted = np.stack([*channels, 255 * OPACITY * share], axis=-1).astype(np.uint8)
    painted[outline(mask)] = 255
    return Image.fromarray(painted)


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of the mask that have a neighbour outside of it."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inner)


def _side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    scale = SIDE / max(left.size)
    size = (max(1, round(left.width * scale)), max(1, round(left.height * scale)))
    canvas = Image.new("RGB", (2 * size[0] + GAP, size[1]), (24, 24, 24))
    canvas.paste(left.resize(size), (0, 0))
    canvas.paste(right.resize(size), (size[0] + GAP, 0))
    return canvas
