"""A bundle of every detector, nearly all on one small CLIP."""

from pathlib import Path
from typing import Any

import torch

from s2sw.model import build_bundle
from s2sw.model.heads.april_linear import LinearLayers
from s2sw.model.prompts.learned import LearnedPrompts
from s2sw.model.weights.clip import ClipWeights, clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from tests.support import checkpoints, small_clip
from tests.support.tiny_dinov2 import tiny_dinov2

SIDE = small_clip.PATCH * 7
CLASSES = ("bolt", "nut")


def clip(seed: int = 5) -> ClipWeights:
    return clip_from_tensors(small_clip.state_dict(seed, text_layers=1), "small", LoadOptions("quick_gelu"))


def two_widths(seed: int = 5, width: int = 128) -> ClipWeights:
    """A CLIP whose text tower is narrower than its visual one, as in all real ones."""
    tensors = small_clip.state_dict(seed, text_layers=1)
    wide = small_clip.state_dict(seed + 1, width=width, vision_layers=6, text_layers=1)
    visual = {name: tensor for name, tensor in wide.items() if name.startswith("visual.")}
    return clip_from_tensors(tensors | visual, "two widths", LoadOptions("quick_gelu"))


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build_family(folder: Path) -> dict[str, Path]:
    """Build one of each in a folder of its name; april_gan, musc, rareclip and mvfa with smaller inputs."""
    of, normal = clip(), {name: random(1, 3, SIDE, SIDE, seed=seed) for seed, name in enumerate(CLASSES)}
    smaller = {name: pictures[..., :40, :40] for name, pictures in normal.items()}
    files = folder / "checkpoints"
    files.mkdir(parents=True)

    def file(name: str, found: Any) -> Path:
        return checkpoints.saved(found, files / name)

    contexts = random(2, 3, small_clip.WIDTH, seed=3)
    prompts = {"prompts": LearnedPrompts(contexts[0], contexts[1], ())}
    layers = random(4, small_clip.JOINT, small_clip.WIDTH, seed=4)
    linear = LinearLayers(layers, torch.zeros(4, small_clip.JOINT))
    options: dict[str, dict[str, Any]] = {
        "s2swclip": prompts,
        "anomalyclip": prompts,
        "april_gan": {"class_name": CLASSES, "linear": linear, "image_size": 40},
        "winclip": {"class_name": CLASSES, "references": normal},
        "adaptclip": {"checkpoint": file("adaptclip.pth", checkpoints.adaptclip(of)), "references": normal},
        "af_clip": {
            "prompt": file("prompt.pt", checkpoints.af_clip_prompt(of)),
            "adaptor": file("adaptor.pt", checkpoints.af_clip_adaptor(of)),
        },
        "aa_clip": {
            "class_name": CLASSES,
            "image_adapter": file("image_adapter.pth", checkpoints.aa_clip_image(of)),
            "text_adapter": file("text_adapter.pth", checkpoints.aa_clip_text(of)),
        },
        "musc": {
            "references": {
                name: random(9, 3, 40, 40, seed=seed) for seed, name in enumerate(CLASSES, start=20)
            },
            "image_size": 40,
        },
        "rareclip": {
            "references": {
                name: random(9, 3, 40, 40, seed=seed) for seed, name in enumerate(CLASSES, start=30)
            },
            "image_size": 40,
        },
        "mvfa": {
            "class_name": CLASSES,
            "checkpoint": file("mvfa.pth", checkpoints.mvfa(of)),
            "references": smaller,
            "image_size": 40,
        },
    }
    built = {
        name: build_bundle(folder / name, of, detector=name, **({"image_size": SIDE} | given))
        for name, given in options.items()
    }
    built["dino"] = build_bundle(folder / "dino", detector="dino", stem=tiny_dinov2(), image_size=70)
    built["embedded"] = build_bundle(folder / "embedded", detector="embedded")
    return built
