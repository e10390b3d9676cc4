"""Handwritten prompts: the families' words in WinCLIP's state phrases and CLIP's templates, no training.

Source: the prompt ensemble of WinCLIP (Jeong et al., CVPR 2023); features are averaged without normalising.
"""

import torch
from torch import Tensor

from s2sw.model.prompts.families import WORDS
from s2sw.model.towers.text import TextTower
from s2sw.model.towers.tokenizer import tokens

NORMAL_STATES = (
    "{}",
    "flawless {}",
    "perfect {}",
    "unblemished {}",
    "{} without flaw",
    "{} without defect",
    "{} without damage",
)
ANOMALOUS_STATES = ("damaged {}", "{} with flaw", "{} with defect", "{} with damage")

TEMPLATES = (
    "a cropped photo of the {}.",
    "a close-up photo of a {}.",
    "a close-up photo of the {}.",
    "a bright photo of a {}.",
    "a bright photo of the {}.",
    "a dark photo of the {}.",
    "a dark photo of a {}.",
    "a jpeg corrupted photo of the {}.",
    "a jpeg corrupted photo of the {}.",  # twice in the published list, so it weighs twice
    "a blurry photo of the {}.",
    "a blurry photo of a {}.",
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of a small {}.",
    "a photo of the small {}.",
    "a photo of a large {}.",
    "a photo of the large {}.",
    "a photo of the {} for visual inspection.",
    "a photo of a {} for visual inspection.",
    "a photo of the {} for anomaly detection.",
    "a photo of a {} for anomaly detection.",
)

NOUN = "object"
BATCH = 128


def phrases(family: str) -> tuple[list[str], list[str]]:
    """Return a family's normal and anomalous phrases, each to be put into every template.

    object: WinCLIP's states of "object"; state: each of the family's words before "object"; defect: its
    normal words before "object", and "object with" each of its defects.
    """
    normal, anomalous = (words.split() for words in WORDS[family])
    if family == "object":
        return [s.format(NOUN) for s in NORMAL_STATES], [s.format(NOUN) for s in ANOMALOUS_STATES]
    before = [f"{word} {NOUN}" for word in normal]
    if family == "defect":
        return before, [f"{NOUN} with {word}" for word in anomalous]
    return before, [f"{word} {NOUN}" for word in anomalous]


def ensemble(texts: list[str], tower: TextTower) -> Tensor:
    """Return the mean raw text feature (C,) of texts in every template."""
    ids = tokens([t.format(text) for text in texts for t in TEMPLATES], tower.shape.context)
    return torch.cat([tower.encode_tokens(some) for some in torch.split(ids, BATCH)]).mean(dim=0)


def handwritten_features(tower: TextTower, families: tuple[str, ...]) -> dict[str, Tensor]:
    """Return each family's raw features (2, C): normal, anomalous."""
    return {f: torch.stack([ensemble(texts, tower) for texts in phrases(f)]) for f in families}
