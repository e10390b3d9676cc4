"""Entropy-gain similarity of tokens to class vectors.

Source: the S2SWCLIP paper, entropy-gain section; tau = 0.07 as everywhere in the detector.
"""

import torch
from torch import Tensor

TAU = 0.07
EPSILON = 1e-10


def entropies(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return Shannon and Renyi (alpha = 1/2) entropy, in nats, of softmax(x) over channels: (...,) each."""
    p = x.softmax(dim=-1)
    shannon = -(p * torch.log(p + EPSILON)).sum(dim=-1)
    renyi = 2 * torch.log((p.sqrt() + EPSILON).sum(dim=-1))
    return shannon, renyi


def similarity(x: Tensor, vectors: Tensor, fused: Tensor) -> Tensor:
    """Return the similarity (B, N, 2) of tokens x (B, N, C) to class vectors (2, C).

    fused: the fused class vectors (2, C) that the Renyi factor compares with.
    """
    shannon, renyi = (e.unsqueeze(-1) for e in entropies(x))
    shannon_of_class, _ = entropies(vectors)
    _, renyi_of_class = entropies(fused)
    gain = (1 - (shannon - shannon_of_class).abs()) * (1 - (renyi - renyi_of_class).abs())
    return x @ vectors.T * gain


def anomaly_probability(x: Tensor, vectors: Tensor, fused: Tensor) -> Tensor:
    """Return P(anomalous) in 0..1, (B, N), of tokens x (B, N, C): softmax of similarity / tau."""
    logits = similarity(x, vectors, fused) / TAU
    return torch.sigmoid(logits[..., 1] - logits[..., 0])
