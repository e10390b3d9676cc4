"""Cross-informative adaptive fusion of the text families into one class vector.

Source: the S2SWCLIP paper, section on cross-informative fusion; computed on raw features.
"""

import logging

import torch
from torch import Tensor
from torch.nn import functional

log = logging.getLogger(__name__)

VARIANCE_FLOOR = 0.1
FAMILIES = ("state", "object", "fused", "defect")
"""The order of family scores and of the rows of ``class_vectors``."""


def fuse(state: Tensor, obj: Tensor, defect: Tensor) -> Tensor:
    """Fuse raw features of one class, each (C,), into r * m + defect, (C,); carries no gradient.

    r is the Pearson correlation of the object and state features over channels, m the mean of those of
    the two whose population variance exceeds 0.1. Where neither does, m is the mean of both.
    """
    pair = torch.stack([obj, state]).detach()
    correlation = torch.corrcoef(pair)[0, 1]
    kept = pair[pair.var(dim=1, correction=0) > VARIANCE_FLOOR]
    if not len(kept):
        log.warning("object and state text features both vary too little; the fusion takes both")
        kept = pair
    return correlation * kept.mean(dim=0) + defect.detach()


def class_vectors(state: Tensor, obj: Tensor, defect: Tensor) -> Tensor:
    """Return L2-normalised vectors (4, 2, C) in the order of FAMILIES from raw features (2, C) each.

    Classes: 0 normal, 1 anomalous.
    """
    fused = torch.stack([fuse(s, o, d) for s, o, d in zip(state, obj, defect, strict=True)])
    return functional.normalize(torch.stack([state, obj, fused, defect]), dim=-1)
