"""The wavelet branch of the S2SWCLIP map: patch tokens (N, C) taken as one 2-D signal.

Both transforms are one level deep and only weighted sums of their bands are read, so each is one small fixed
filter. The filters are read off pytorch_wavelets' own transforms; running those is 6 times slower on a
CPU (benchmarks/detector_wavelet.py) and makes the whole head cost more than 5 % of the bf16 tower.
"""

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional

PROBE = 16
"""Side of the signal whose impulse response is read; wider than any filter here."""


class LibraryTransforms(nn.Module):
    """The two transforms as pytorch_wavelets computes them: the ground truth of WaveletBranch."""

    def __init__(self) -> None:
        super().__init__()
        # here: importing it takes half a second, and only this detector needs it
        with warnings.catch_warnings():
            # its last release reads a data file through pkg_resources, which warns on import
            warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
            from pytorch_wavelets import DWTForward
            from pytorch_wavelets.dwt.transform2d import SWTForward

        self.stationary = SWTForward(J=1, wave="sym2", mode="periodic")
        self.decimated = DWTForward(J=1, wave="haar", mode="symmetric")

    def undecimated(self, signal: Tensor) -> Tensor:
        """Return u = 0.1 A + 0.9 (H + V + D) of signals (B, 1, N, C), in their shape."""
        bands = self.stationary(signal)[0]  # (B, 4, N, C), approximation first
        result: Tensor = 0.1 * bands[:, :1] + 0.9 * bands[:, 1:].sum(dim=1, keepdim=True)
        return result

    def coarse(self, signal: Tensor) -> Tensor:
        """Return 0.9 A + 0.1 mean(H, V, D), (B, 1, N / 2, C / 2), of signals (B, 1, N, C)."""
        low, (details,) = self.decimated(signal)
        result: Tensor = 0.9 * low + 0.1 * details.mean(dim=2)
        return result


class WaveletBranch(nn.Module):
    """z = 0.99 l + 0.01 u, from a decimated Haar and a stationary sym2 transform.

    Source: the S2SWCLIP paper, wavelet section, with the released program's constants. N and C must be even.
    """

    def __init__(self) -> None:
        super().__init__()
        library = LibraryTransforms()
        self.stationary, self.reach = stationary_filter(library)
        # one 2 x 2 picture for each of its pixels: what each pixel adds to the one coefficient
        self.corners: list[float] = library.coarse(torch.eye(4).view(4, 1, 2, 2)).flatten().tolist()

    def forward(self, p: Tensor) -> Tensor:
        """Map normalised patch tokens (B, N, C) to wavelet tokens (B, N, C), not normalised."""
        quarters = [p[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        coarse = shifted_sum(quarters, self.corners).unsqueeze(1)
        low = functional.interpolate(coarse, size=p.shape[1:], mode="bilinear", align_corners=False)
        return torch.add(low.squeeze(1).mul_(0.99), self.undecimated(p), alpha=0.01)

    def undecimated(self, p: Tensor) -> Tensor:
        """Return u (B, N, C) as sums of shifted copies: faster than one-channel convolutions, and no TF32."""
        tokens, channels = p.shape[1:]
        before, after = self.reach
        around = functional.pad(p.unsqueeze(1), (before, after, before, after), mode="circular").squeeze(1)
        terms = []
        for down, across in self.stationary:
            row = shifted_sum([around[..., i : i + channels] for i in range(len(across))], across)
            terms.append(shifted_sum([row[:, i : i + tokens] for i in range(len(down))], down))
        return terms[0].add_(terms[1])


def shifted_sum(shifted: list[Tensor], weights: list[float]) -> Tensor:
    """Return the weighted sum of equally shaped tensors."""
    total = shifted[0] * weights[0]
    for one, weight in zip(shifted[1:], weights[1:], strict=True):
        total.add_(one, alpha=weight)
    return total


Separable = list[tuple[list[float], list[float]]]
"""A 2-D filter as a sum of products: weights along tokens, and along channels, of each."""


def stationary_filter(library: LibraryTransforms) -> tuple[Separable, tuple[int, int]]:
    """Return the filter that equals ``undecimated``, and how far it reaches before and after a coefficient.

    It is a sum of two separable ones: u = 0.9 (L + G) x (L + G) - 0.8 L x L for low and high pass L and G.
    """
    impulse = torch.zeros(1, 1, PROBE, PROBE)
    middle = PROBE // 2
    impulse[..., middle, middle] = 1
    # a correlation's filter is its impulse response, mirrored
    response = library.undecimated(impulse)[0, 0].flip(0, 1).double()
    touched = (response.abs().sum(dim=0) > 0).nonzero()[:, 0]
    first, last = int(touched[0]), int(touched[-1])
    mirrored = PROBE - 1 - middle
    left, sizes, right = torch.linalg.svd(response[first : last + 1, first : last + 1])
    pairs = [((left[:, i] * sizes[i]).tolist(), right[i].tolist()) for i in range(2)]
    return pairs, (mirrored - first, last - mirrored)
