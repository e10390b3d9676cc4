"""Small bundles with prompts from a seed."""

from pathlib import Path

import torch

from s2sw.model import build_bundle
from s2sw.model.prompts.learned import LearnedPrompts
from s2sw.model.weights.clip import clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from tests.support import small_clip

SIDE = small_clip.PATCH * 5


def bundle(folder: Path, seed: int = 5) -> Path:
    generator = torch.Generator().manual_seed(seed)
    normal, anomalous = (torch.randn(3, small_clip.WIDTH, generator=generator) for _ in range(2))
    clip = clip_from_tensors(small_clip.state_dict(seed), "small.pt", LoadOptions("quick_gelu"))
    return build_bundle(folder, clip, image_size=SIDE, prompts=LearnedPrompts(normal, anomalous, ()))
