"""Prompts that name the class of the object: its normal and anomalous states in templates of sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.prompts.handwritten import ANOMALOUS_STATES, BATCH, NORMAL_STATES, TEMPLATES
from s2sw.model.towers.shapes import TextShape
from s2sw.model.towers.tokenizer import tokens


class TextEncoder(Protocol):
    """What turns prompts into features: CLIP's text tower, or one with adapters in it."""

    @property
    def shape(self) -> TextShape:
        """The tower's shape."""

    def encode_tokens(self, ids: Tensor) -> Tensor:
        """Return features (P, C) of token ids (P, context)."""


@dataclass(frozen=True, slots=True)
class PromptSet:
    """States and templates with a place ``{}``. normalised: each prompt's feature counts by its direction."""

    normal: Sequence[str]
    anomalous: Sequence[str]
    templates: Sequence[str]
    normalised: bool

    def features(self, tower: TextEncoder, class_name: str) -> Tensor:
        """Return the L2-normalised vectors (2, C), normal and anomalous, of a class."""
        both = [self._mean(tower, [s.format(class_name) for s in states]) for states in self._states]
        return functional.normalize(torch.stack(both), dim=-1)

    @property
    def _states(self) -> tuple[Sequence[str], Sequence[str]]:
        return self.normal, self.anomalous

    def _mean(self, tower: TextEncoder, texts: list[str]) -> Tensor:
        ids = tokens([t.format(text) for text in texts for t in self.templates], tower.shape.context)
        features = torch.cat([tower.encode_tokens(some) for some in torch.split(ids, BATCH)])
        return (functional.normalize(features, dim=-1) if self.normalised else features).mean(dim=0)


WINCLIP = PromptSet(NORMAL_STATES, ANOMALOUS_STATES, TEMPLATES, normalised=False)
"""Source: the prompt ensemble of WinCLIP (Jeong et al., CVPR 2023), averaged as its open code does."""

APRIL_GAN = PromptSet(
    NORMAL_STATES,
    ("damaged {}", "broken {}", "{} with flaw", "{} with defect", "{} with damage"),
    (
        "a bad photo of a {}.",
        "a low resolution photo of the {}.",
        "a bad photo of the {}.",
        "a cropped photo of the {}.",
        "a bright photo of a {}.",
        "a dark photo of the {}.",
        "a photo of my {}.",
        "a photo of the cool {}.",
        "a close-up photo of a {}.",
        "a black and white photo of the {}.",
        "a bright photo of the {}.",
        "a cropped photo of a {}.",
        "a jpeg corrupted photo of a {}.",
        "a blurry photo of the {}.",
        "a photo of the {}.",
        "a good photo of the {}.",
        "a photo of one {}.",
        "a close-up photo of the {}.",
        "a photo of a {}.",
        "a low resolution photo of a {}.",
        "a photo of a large {}.",
        "a blurry photo of a {}.",
        "a jpeg corrupted photo of the {}.",
        "a good photo of a {}.",
        "a photo of the small {}.",
        "a photo of the large {}.",
        "a black and white photo of a {}.",
        "a dark photo of a {}.",
        "a photo of a cool {}.",
        "a photo of a small {}.",
        "there is a {} in the scene.",
        "there is the {} in the scene.",
        "this is a {} in the scene.",
        "this is the {} in the scene.",
        "this is one {} in the scene.",
    ),
    normalised=True,
)
"""Source: APRIL-GAN (Chen et al., VAND workshop 2023), zero-shot winner."""

AA_CLIP = PromptSet(
    ("{}", "a {}", "the {}"),
    ("a damaged {}", "a broken {}", "a {} with flaw", "a {} with defect", "a {} with damage"),
    ("{}.", "a photo of {}."),
    normalised=True,
)
"""Source: AA-CLIP (Ma et al., CVPR 2025); the place is for a description of what is shown."""


@torch.inference_mode()
def class_vectors(tower: TextEncoder, names: Sequence[str], prompts: PromptSet) -> Tensor:
    """Return the vectors (classes, 2, C) of some class names, L2-normalised."""
    return torch.stack([prompts.features(tower, name) for name in names])
