"""Golden cases: the tiny CLIP, its prompts, and what the released program computes on them."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from s2sw.model.weights.clip import ClipWeights, clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from tests.support.tiny_clip import tiny_clip_state_dict, tiny_images

DATA = Path(__file__).parents[1] / "data"
SHARED = Path(__file__).parents[3] / "shared" / "golden"
THINNED = ("hff_0", "wavelet_0", "patch_raw")


@dataclass(frozen=True)
class Golden:
    meta: dict[str, Any]
    arrays: dict[str, NDArray[np.float32]]
    prompts: Path

    def error(self, key: str, found: torch.Tensor) -> float:
        """Largest absolute difference from the golden array, on the tokens and channels that it keeps."""
        expected, got = self.arrays[key], found.detach().numpy()
        if key.startswith(THINNED) and got.shape != expected.shape:
            got = got[:, ::5, ::16]
        assert got.shape == expected.shape
        return float(np.abs(got - expected).max())

    @property
    def images(self) -> torch.Tensor:
        return torch.from_numpy(tiny_images(self.meta["seed"] + 2, self.meta["batch"], self.meta["size"]))

    @property
    def state_dict(self) -> dict[str, torch.Tensor]:
        return tiny_state(self.meta["seed"], self.meta["width"], self.meta["text_gain"], self.meta["grid"])

    @property
    def clip(self) -> ClipWeights:
        return clip_from_tensors(self.state_dict, "tiny", LoadOptions("quick_gelu"))


@lru_cache(maxsize=2)
def tiny_state(seed: int, width: int, text_gain: float, grid: int) -> dict[str, torch.Tensor]:
    made = tiny_clip_state_dict(seed, width=width, text_gain=text_gain, grid=grid)
    return {name: torch.from_numpy(np.array(array)) for name, array in made.items()}


@lru_cache(maxsize=2)
def golden(case: str) -> Golden:
    """The whole arrays where the shared folder is at hand, otherwise the thinned ones."""
    whole = SHARED / f"golden_{case}.npz"
    with np.load(whole if whole.is_file() else DATA / f"golden_{case}.npz") as stored:
        arrays = {key: stored[key] for key in stored.files}
    meta = json.loads(str(arrays.pop("meta")))
    own = SHARED / f"golden_{case}_prompts.pth"
    return Golden(meta, arrays, own if own.is_file() else DATA / own.name)
