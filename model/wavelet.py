"""The wavelet branch of the S2SWCLIP map: patch tokens (N, C) taken as one 2-D signal."""

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional

with warnings.catch_warnings():
    # its last release reads a data file through pkg_resources, which warns on import
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)
    from pytorch_wavelets import DWTForward
    from pytorch_wavelets.dwt.transform2d import SWTForward


class WaveletBranch(nn.Module):
    """z = 0.99 l + 0.01 u, from a decimated Haar and a stationary sym2 transform.

    Source: the S2SWCLIP paper, wavelet section, with the released program's constants. N must be even.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stationary = SWTForward(J=1, wave="sym2", mode="periodic")
        self.decimated = DWTForward(J=1, wave="haar", mode="symmetric")

    def forward(self, p: Tensor) -> Tensor:
        """Map normalised patch tokens (B, N, C) to wavelet tokens (B, N, C), not normalised."""
        signal = p.unsqueeze(1)
        bands = self.stationary(signal)[0]  # (B, 4, N, C), approximation first
        undecimated = 0.1 * bands[:, :1] + 0.9 * bands[:, 1:].sum(dim=1, keepdim=True)
        low, (details,) = self.decimated(signal)
        coarse = 0.9 * low + 0.1 * details.mean(dim=2)
        coarse = functional.interpolate(coarse, size=p.shape[1:], mode="bilinear", align_corners=False)
        return torch.squeeze(0.99 * coarse + 0.01 * undecimated, 1)
