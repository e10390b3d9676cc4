"""From token maps to full maps: one fixed linear operator on each axis. Needs only NumPy.

Upsampling (bilinear), smoothing (SciPy's Gaussian) and the resize to a picture's own size are linear and
separable, so the full map is ``rows @ token_map @ columns.T``, exactly, for any stored token map. Where a
detector takes a probability only after upsampling, its token map holds logits, and the sigmoid comes between.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SIGMA = 4.0
TRUNCATE = 4.0

Operator = NDArray[np.float64]
Border = Literal["reflect", "mirror", "constant"]


@dataclass(frozen=True, slots=True)
class MapLayer:
    """One grid of a token map, and its way into the full map, which is the weighted sum over layers.

    grid: tokens along a side. side: the detector's input side S, pixels. corners: upsampled to S x S with
    align_corners=True. logit: the grid holds logits, and the sigmoid follows the upsampling. smooth: then the
    Gaussian of sigma 4.
    """

    grid: int
    side: int
    smooth: bool = True
    corners: bool = False
    logit: bool = False
    weight: float = 1.0


def token_count(layers: Iterable[MapLayer]) -> int:
    """Return how many numbers one token map of these layers holds."""
    return sum(layer.grid**2 for layer in layers)


def token_shape(layers: tuple[MapLayer, ...]) -> tuple[int, ...]:
    """Return the shape of one token map: (g, g), (layers, g, g), or flat where the grids differ."""
    grids = {layer.grid for layer in layers}
    if len(grids) > 1:
        return (token_count(layers),)
    square = (layers[0].grid,) * 2
    return square if len(layers) == 1 else (len(layers), *square)


def is_ordinary(layers: tuple[MapLayer, ...]) -> bool:
    """Tell whether the full map is one grid, upsampled, as grid, side and smooth alone say it."""
    return layers == (MapLayer(layers[0].grid, layers[0].side, layers[0].smooth),)


def bilinear(source: int, target: int, *, corners: bool = False) -> Operator:
    """Return (target, source): bilinear resizing along one axis, no antialiasing; corners: align_corners."""
    if corners:
        centre = np.linspace(0, source - 1, target)
    else:
        centre = np.maximum((np.arange(target) + 0.5) * source / target - 0.5, 0)
    low = np.minimum(np.floor(centre).astype(int), source - 1)
    high = np.minimum(low + 1, source - 1)
    share = centre - low
    operator = np.zeros((target, source))
    rows = np.arange(target)
    np.add.at(operator, (rows, low), 1 - share)
    np.add.at(operator, (rows, high), share)
    return operator


def gaussian(
    size: int, sigma: float = SIGMA, radius: int | None = None, border: Border = "reflect"
) -> Operator:
    """Return (size, size): SciPy's gaussian_filter1d, by default with mode ``reflect`` and truncate 4.

    radius: how far the filter reaches. border: what lies beyond the edge, by SciPy's names: ``reflect``
    (d c b a | a b c d | d c b a), ``mirror`` (d c b | a b c d | c b a) or ``constant`` (zeros).
    """
    radius = int(TRUNCATE * sigma + 0.5) if radius is None else radius
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights = np.broadcast_to(weights / weights.sum(), (size, len(offsets)))
    index = np.arange(size)[:, None] + offsets
    if border == "constant":
        weights = weights * ((index >= 0) & (index < size))
        index = index.clip(0, size - 1)
    else:
        again = 0 if border == "reflect" else 1
        index = index % max(1, 2 * (size - again))
        index = np.where(index < size, index, 2 * size - 1 - again - index)
    operator = np.zeros((size, size))
    np.add.at(operator, (np.arange(size)[:, None], index), weights)
    return operator


def fitting(layer: MapLayer) -> Operator:
    """Return (grid, side), for both axes: from a map at S x S to the token map that is upsampled to it best.

    By least squares. Where the grid has a token for every 3.5 pixels, the full map of a smooth layer differs
    from the smoothed map by 2e-6 of its range, and by 5e-5 where the map jumps from pixel to pixel: hardly
    anything finer is left after a Gaussian of sigma 4.
    """
    up = bilinear(layer.grid, layer.side, corners=layer.corners)
    after = gaussian(layer.side) if layer.smooth else np.eye(layer.side)
    return np.asarray(np.linalg.pinv(after @ up, rcond=1e-6) @ after)


@lru_cache(maxsize=64)
def axis_operators(layer: MapLayer, length: int) -> tuple[NDArray[np.float32], ...]:
    """Return one axis of a layer's way to ``length`` pixels: one or two operators (read-only).

    The first applies to the grid. A second one, for logits, applies to their sigmoids at S x S; it is left
    out where it would change nothing.
    """
    first = bilinear(layer.grid, layer.side, corners=layer.corners)
    later = [gaussian(layer.side)] if layer.smooth else []
    if length != layer.side:
        later.append(bilinear(layer.side, length))
    if not layer.logit:
        return (_frozen(reduce(lambda done, then: then @ done, later, first)),)
    return tuple(map(_frozen, [first, reduce(lambda done, then: then @ done, later)] if later else [first]))


def _frozen(operator: Operator) -> NDArray[np.float32]:
    result = operator.astype(np.float32)
    result.setflags(write=False)
    return result


def assemble(
    tokens: Any,
    layers: Iterable[MapLayer],
    down: Callable[[MapLayer], tuple[Any, ...]],
    across: Callable[[MapLayer], tuple[Any, ...]],
    sigmoid: Callable[[Any], Any],
) -> Any:
    """Return full maps (B, rows, cols) of token maps (B, numbers), arrays or tensors alike.

    down, across: the operators of a layer along rows and columns. sigmoid: of arrays or of tensors.
    """
    total, start = None, 0
    for layer in layers:
        grid = tokens[:, start : start + layer.grid**2].reshape(-1, layer.grid, layer.grid)
        start += layer.grid**2
        (first_down, *last_down), (first_across, *last_across) = down(layer), across(layer)
        value = first_down @ grid @ first_across.T
        if layer.logit:
            value = sigmoid(value)
            value = last_down[0] @ value if last_down else value
            value = value @ last_across[0].T if last_across else value
        weighted = value if layer.weight == 1 else layer.weight * value
        total = weighted if total is None else total + weighted
    return total


def sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-x)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)), np.float32)


def layered_map(
    token_map: NDArray[np.floating], layers: tuple[MapLayer, ...], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return full maps (B, rows, cols), 0..1, of token maps (B, ...) that hold the layers' numbers."""
    tokens = np.asarray(token_map, np.float32).reshape(-1, token_count(layers))
    rows, cols = size
    whole = assemble(
        tokens, layers, lambda at: axis_operators(at, rows), lambda at: axis_operators(at, cols), sigmoid
    )
    return np.asarray(whole, np.float32)


def full_map(
    token_map: NDArray[np.floating], side: int, size: tuple[int, int] | None = None, smooth: bool = True
) -> NDArray[np.float32]:
    """Return the full map (B, rows, cols), or (rows, cols) for one token map, in 0..1.

    token_map: (B, g, g) or (g, g), 0..1. side: the detector's input side S in pixels.
    size: (rows, cols) of the result; None is (S, S). smooth: with the Gaussian of sigma 4 at S x S.
    """
    layer = MapLayer(token_map.shape[-1], side, smooth)
    whole = layered_map(token_map, (layer,), size or (side, side))
    return whole if token_map.ndim == 3 else whole[0]
