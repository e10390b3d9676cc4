"""Golden cases of the other detectors: each one's tiny CLIP, files, and what its program computes."""

import json
from functools import lru_cache

import numpy as np
import torch

from s2sw.model.weights.clip import clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from tests.support.golden import DATA, SHARED
from tests.support.tiny_clip import tiny_clip_state_dict, tiny_images

SHAPE = ("width", "embed_dim", "vision_layers", "text_layers", "patch", "grid", "text_gain")
STRIDES = {"map": (3, 3), "other": (5, 8)}
"""Maps are kept at every third row and column, tokens at every fifth and eighth channel: the shared folder
has them whole."""


class Case:
    def __init__(self, name: str) -> None:
        whole = SHARED / f"{name}.npz"
        with np.load(whole if whole.is_file() else DATA / f"golden_{name}.npz") as stored:
            self.arrays = {key: stored[key] for key in stored.files}
        self.meta = json.loads(str(self.arrays.pop("meta")))
        given = {key: self.meta[key] for key in SHAPE if key in self.meta}
        state = {n: torch.tensor(a) for n, a in tiny_clip_state_dict(self.meta["seed"], **given).items()}
        activation = "quick_gelu" if self.meta.get("quick_gelu", True) else "gelu"
        self.clip = clip_from_tensors(state, "tiny", LoadOptions(activation))
        self.size = self.meta["size"]
        self.images = torch.from_numpy(tiny_images(self.meta["seed"] + 2, self.meta["batch"], self.size))

    @property
    def references(self) -> torch.Tensor:
        given = (self.meta["reference_seed"], self.meta["k_shot"], self.size)
        return torch.from_numpy(tiny_images(*given))

    def error(self, key: str, found: torch.Tensor) -> float:
        """Largest absolute difference from the golden array, on the pixels or tokens that are kept."""
        expected, got = self.arrays[key], found.detach().cpu().numpy()
        if got.shape != expected.shape:
            down, across = STRIDES["map" if "map" in key else "other"]
            got = got[..., ::down, ::across]
        assert got.shape == expected.shape
        return float(np.abs(got - expected).max())


@lru_cache(maxsize=1)  # a state is 100 MB
def case(name: str) -> Case:
    return Case(name)
