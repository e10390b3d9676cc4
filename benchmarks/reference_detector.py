"""A plain S2SWCLIP, written from the paper's text alone, to measure and to check the fast one against.

Everything as one would first write it: float32, one picture at a time, explicit attention matrices in both
streams, all four taps through the whole head, wavelets through PyWavelets on the CPU, SciPy's Gaussian.
"""

from dataclasses import dataclass

import numpy as np
import pywt
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from s2sw.model.bundles.record import BundleRecord

TAU = 0.07


@dataclass(frozen=True)
class Reference:
    """The detector over a bundle's tensors, on their device. Scores and maps in 0..1."""

    record: BundleRecord
    tensors: dict[str, Tensor]

    @torch.inference_mode()
    def detect(self, x: Tensor) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
        """Return score, token map (g, g) and full map (S, S) of one normalised picture (3, S, S)."""
        feature, taps = self.tower(x[None])
        vectors = self.tensors["class_vectors"]
        feature = functional.normalize(feature, dim=-1)
        families = [(feature @ t.T / TAU).softmax(dim=-1)[0, 1] for t in vectors]
        maps = [self.token_map(tap, vectors[2]) for tap in taps]
        tokens = torch.stack(maps).mean(dim=0)
        side = self.record.image_size
        whole = functional.interpolate(tokens[None, None], size=(side, side), mode="bilinear")[0, 0]
        smooth = gaussian_filter(whole.cpu().numpy(), sigma=4)
        return float(torch.stack(families).mean()), tokens.cpu().numpy(), smooth

    def tower(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the image feature (1, C) and four taps of raw patch features (N, C)."""
        vision, settings, w = self.record.vision, self.record.settings, self.tensors
        x = functional.conv2d(x, w["visual.conv1.weight"], stride=vision.patch).flatten(2).transpose(1, 2)
        x = torch.cat([w["visual.class_embedding"][None, None], x], dim=1) + self.positions()
        x = self.norm(x, "visual.ln_pre")
        y, kept = x, []
        for number in range(1, vision.layers + 1):
            at = f"visual.transformer.resblocks.{number - 1}."
            q, k, v = self.project(self.norm(x, f"{at}ln_1"), at)
            if number >= settings["two_stream_from"]:
                y = y + self.attention(v, v, v, at)
            x = x + self.attention(q, k, v, at)
            x = x + self.mlp(self.norm(x, f"{at}ln_2"), at)
            if number < settings["two_stream_from"]:
                y = x
            if number in settings["tap_blocks"]:
                kept.append(y)
        taps = [self.norm(y, "visual.ln_post")[0] @ w["visual.proj"] for y in kept]
        # the released program's four taps are the same tensor, and its head runs over each
        return x[:, 0] @ w["visual.proj"], taps * (4 // len(taps))

    def positions(self) -> Tensor:
        own, grid = self.record.vision.grid, self.record.grid
        positions = self.tensors["visual.positional_embedding"]
        square = positions[1:].reshape(1, own, own, -1).permute(0, 3, 1, 2)
        square = functional.interpolate(square, size=(grid, grid), mode="bilinear", align_corners=False)
        return torch.cat([positions[:1], square[0].flatten(1).T])

    def norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]
        return functional.layer_norm(x, x.shape[-1:], weight, bias)

    def project(self, h: Tensor, at: str) -> tuple[Tensor, ...]:
        packed = h @ self.tensors[f"{at}attn.in_proj_weight"].T + self.tensors[f"{at}attn.in_proj_bias"]
        heads = self.record.vision.heads
        return tuple(p.unflatten(-1, (heads, -1)).transpose(1, 2) for p in packed.chunk(3, dim=-1))

    def attention(self, q: Tensor, k: Tensor, v: Tensor, at: str) -> Tensor:
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(dim=-1)
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        return mixed @ self.tensors[f"{at}attn.out_proj.weight"].T + self.tensors[f"{at}attn.out_proj.bias"]

    def mlp(self, x: Tensor, at: str) -> Tensor:
        h = x @ self.tensors[f"{at}mlp.c_fc.weight"].T + self.tensors[f"{at}mlp.c_fc.bias"]
        quick = self.record.vision.activation == "quick_gelu"
        h = h * torch.sigmoid(1.702 * h) if quick else functional.gelu(h)
        return h @ self.tensors[f"{at}mlp.c_proj.weight"].T + self.tensors[f"{at}mlp.c_proj.bias"]

    def token_map(self, tap: Tensor, fused: Tensor) -> Tensor:
        """Return the map (g, g) of one tap's raw patch features (N, C)."""
        p = functional.normalize(tap, dim=-1)
        spatial = functional.normalize(0.2 * hierarchical(p) + 0.8 * p, dim=-1)
        wavelet = torch.from_numpy(wavelets(p.cpu().numpy())).to(p.device)
        share_spatial, share_wavelet = self.record.settings["mix"]
        mixed = share_spatial * anomalous(spatial, fused) + share_wavelet * anomalous(wavelet, fused)
        return mixed[1:].reshape(self.record.grid, self.record.grid)


def hierarchical(p: Tensor) -> Tensor:
    """Return h(p), (N, C), of normalised patch tokens (N, C)."""
    tokens, channels = p.shape
    signal = p.T[None]
    high = functional.interpolate(signal, scale_factor=1.5, mode="linear", align_corners=True)[0].T[:tokens]
    a = functional.adaptive_avg_pool1d(signal, 384)[0].T
    b = functional.adaptive_max_pool1d(signal, 384)[0].T
    c = functional.adaptive_max_pool1d(torch.cat([a, b], dim=1)[None], channels)[0]
    w = (a + b).mean(dim=0, keepdim=True).softmax(dim=-1)
    e = torch.sigmoid(w * a + (1 - w) * b + (a + b) + c)
    back = functional.interpolate(e.T[None], size=tokens, mode="linear", align_corners=True)[0].T
    return 0.01 * high + 0.99 * back


def wavelets(p: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the wavelet branch's tokens (N, C) of normalised patch tokens (N, C)."""
    low, bands = pywt.dwt2(p, "haar", mode="symmetric")
    coarse = torch.from_numpy(0.9 * low + 0.1 * np.mean(bands, axis=0))[None, None]
    coarse = functional.interpolate(coarse, size=p.shape, mode="bilinear", align_corners=False)[0, 0].numpy()
    a, details = pywt.swt2(p, "sym2", level=1)[0]
    z: NDArray[np.float32] = (0.99 * coarse + 0.01 * (0.1 * a + 0.9 * sum(details))).astype(np.float32)
    return z


def shannon(x: Tensor) -> Tensor:
    p = x.softmax(dim=-1)
    return -(p * torch.log(p + 1e-10)).sum(dim=-1)


def renyi(x: Tensor) -> Tensor:
    return 2 * torch.log((x.softmax(dim=-1) ** 0.5 + 1e-10).sum(dim=-1))


def anomalous(x: Tensor, t: Tensor) -> Tensor:
    """Return P(anomalous), (N,), by entropy-gain similarity of tokens (N, C) to class vectors (2, C)."""
    gain = 1 - (shannon(x)[:, None] - shannon(t)).abs()
    gain = gain * (1 - (renyi(x)[:, None] - renyi(t)).abs())
    return (x @ t.T * gain / TAU).softmax(dim=-1)[:, 1]
