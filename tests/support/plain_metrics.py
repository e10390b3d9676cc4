"""AUPRO in the plainest way, to check against: one threshold after another, one region after another."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Maps = list[NDArray[np.float32]]
Masks = list[NDArray[np.bool_]]


def plain_aupro(maps: Maps, masks: Masks, thresholds: NDArray[np.float32], limit: float = 0.3) -> float:
    """AUPRO over these thresholds, from high to low, with the curve cut at the limit by interpolation."""
    labelled = [ndimage.label(mask, structure=np.ones((3, 3))) for mask in masks]
    normal = sum(int((~mask).sum()) for mask in masks)
    fprs, pros = [0.0], [0.0]
    for threshold in thresholds:
        shares, false = [], 0
        for scores, mask, (labels, count) in zip(maps, masks, labelled, strict=True):
            found = scores >= threshold
            false += int((found & ~mask).sum())
            for region, box in enumerate(ndimage.find_objects(labels, max_label=count), start=1):
                inside = labels[box] == region
                shares.append(found[box][inside].mean())
        fprs.append(false / normal)
        pros.append(float(np.mean(shares)))
    last = max(i for i, fpr in enumerate(fprs) if fpr <= limit)
    x, y = fprs[: last + 1], pros[: last + 1]
    if last + 1 < len(fprs):
        share = (limit - fprs[last]) / (fprs[last + 1] - fprs[last])
        x, y = [*x, limit], [*y, y[-1] + share * (pros[last + 1] - y[-1])]
    return float(np.trapezoid(y, x)) / limit
