"""AdaptCLIP's learned layers: residual adapters of features, and heads that compare with normal pictures.

Normal pictures are the prompt of a query: each of its patches is compared with the nearest of theirs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.precision import exact_convolutions

EPSILON = 1e-5
LARGEST = 10
"""Patches of the largest values, for each channel, that the image head averages."""


class Normalises(Protocol):
    """A batch norm."""

    def __call__(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""

    def planes(self, x: Tensor) -> Tensor:
        """Map (B, C, rows, cols) to the same."""


Named = Mapping[str, Tensor]
NormOf = Callable[[Named, str], Normalises]
"""From a state dict and a name in it to the batch norm of that name."""


@dataclass(frozen=True, slots=True)
class Norm:
    """Batch norm on stored statistics: a scale and a shift for each channel, (C,) both."""

    scale: Tensor
    shift: Tensor

    @classmethod
    def of(cls, named: Named, name: str) -> "Norm":
        """Take it from a state dict."""
        weight, bias, mean, variance = (
            named[f"{name}.{entry}"] for entry in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / (variance + EPSILON).sqrt()
        return cls(scale, bias - mean * scale)

    def lowered(self, dtype: torch.dtype) -> "Norm":
        """Return the norm for numbers of this dtype."""
        return Norm(self.scale.to(dtype), self.shift.to(dtype))

    def __call__(self, x: Tensor) -> Tensor:
        """Map (..., C) to (..., C)."""
        return x * self.scale + self.shift

    def planes(self, x: Tensor) -> Tensor:
        """Map (B, C, rows, cols) to the same."""
        return x * self.scale[:, None, None] + self.shift[:, None, None]


@dataclass(frozen=True, slots=True)
class ResidualAdapter:
    """z + up relu(norm(down z)), no biases. down: (h, C), up: (C, h)."""

    down: Tensor
    norm: Normalises
    up: Tensor

    @classmethod
    def of(cls, named: Named, name: str, norm_of: NormOf = Norm.of) -> "ResidualAdapter":
        """Take it from a state dict."""
        return cls(named[f"{name}.fc.0.weight"], norm_of(named, f"{name}.fc.1"), named[f"{name}.fc.3.weight"])

    def __call__(self, z: Tensor) -> Tensor:
        """Map raw features (..., C) to (..., C)."""
        return z + functional.relu(self.norm(z @ self.down.T)) @ self.up.T


@dataclass(frozen=True, slots=True)
class LocalHead:
    """From compared patches to a map four times as fine, by plain and transposed convolutions in turn."""

    named: Named
    norms: tuple[Normalises, Normalises]

    @classmethod
    def of(cls, named: Named, name: str, norm_of: NormOf = Norm.of) -> "LocalHead":
        """Take it from a state dict."""
        own = {n.removeprefix(f"{name}."): tensor for n, tensor in named.items() if n.startswith(f"{name}.")}
        return cls(own, (norm_of(named, f"{name}.1"), norm_of(named, f"{name}.5")))

    @classmethod
    def lowered(cls, named: Named, name: str, dtype: torch.dtype) -> "LocalHead":
        """Take it from a state dict, to compute in this dtype."""
        whole = cls.of(named, name)
        first, second = (Norm.of(whole.named, place).lowered(dtype) for place in ("1", "5"))
        return cls({n: tensor.to(dtype) for n, tensor in whole.named.items()}, (first, second))

    def __call__(self, z: Tensor) -> Tensor:
        """Map (B, C, g, g) to the anomalous share (B, 4 g, 4 g), float32, 0..1."""
        w = self.named
        z = z.to(w["0.weight"].dtype)
        with exact_convolutions():
            x = functional.relu(self.norms[0].planes(functional.conv2d(z, w["0.weight"], padding=1)))
            x = _doubled(x, w["3.weight"], w["3.bias"])
            x = functional.relu(self.norms[1].planes(functional.conv2d(x, w["4.weight"], padding=1)))
        # the last transposed convolution and the plain one behind it are one product: nothing lies between
        # them, and of two logits only the difference counts
        weight, bias = (w[f"8.{part}"][1] - w[f"8.{part}"][0] for part in ("weight", "bias"))
        last = torch.einsum("imab,m->iab", w["7.weight"], weight.flatten())
        logit = _doubled(x, last[:, None], (w["7.bias"] @ weight.flatten() + bias)[None])
        return logit[:, 0].to(torch.promote_types(logit.dtype, torch.float32)).sigmoid()


def _doubled(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the transposed convolution of stride 2 with kernels of 2 x 2: one product a patch.

    x: (B, C, rows, cols). weight: (C, D, 2, 2). Returns (B, D, 2 rows, 2 cols).
    """
    products: Tensor = x.permute(0, 2, 3, 1) @ weight.flatten(1)
    parts = products.reshape(*products.shape[:3], *weight.shape[1:]).permute(0, 3, 1, 4, 2, 5)
    return parts.flatten(4, 5).flatten(2, 3) + bias[:, None, None]


@dataclass(frozen=True, slots=True)
class ImageHead:
    """From compared patches to the picture's share: pooled, then three linear layers without bias."""

    first: Tensor
    second: Tensor
    last: Tensor
    norms: tuple[Normalises, Normalises]

    @classmethod
    def of(cls, named: Named, name: str, norm_of: NormOf = Norm.of) -> "ImageHead":
        """Take it from a state dict."""
        first, second, last = (named[f"{name}.{number}.weight"] for number in (0, 3, 6))
        return cls(first, second, last, (norm_of(named, f"{name}.1"), norm_of(named, f"{name}.4")))

    def logits(self, z: Tensor) -> Tensor:
        """Map (B, N, C) to logits (B, 2), normal and anomalous."""
        largest = z.mT.topk(LARGEST, dim=-1).values.mean(dim=-1)
        pooled = (z.mean(dim=1) + largest) / 2
        x = functional.relu(self.norms[0](pooled @ self.first.T))
        x = functional.relu(self.norms[1](x @ self.second.T))
        return x @ self.last.T


def compared(query: Tensor, nearest: Tensor, *, context: bool) -> Tensor:
    """Return what the heads read, (B, N, C): the difference of a patch to its nearest normal one.

    query, nearest: L2-normalised (B, N, C). context: with the patch itself added.
    """
    apart = (query - nearest).abs()
    return query + apart if context else apart


def harmonic_mean(values: Tensor) -> Tensor:
    """Return the harmonic mean over the first axis, of values >= 0; where one is 0, it is 0."""
    return len(values) / (1 / values).sum(dim=0)


def share(logits: Tensor) -> Tensor:
    """Return the anomalous entry of the softmax of logits (..., 2)."""
    return torch.sigmoid(logits[..., 1] - logits[..., 0])
