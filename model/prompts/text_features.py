"""Text features of the learned or handwritten prompts of a detector without class names."""

from pathlib import Path

import torch
from torch import Tensor

from s2sw.model.prompts.families import WORDS
from s2sw.model.prompts.handwritten import handwritten_features
from s2sw.model.prompts.learned import LearnedPrompts, read_prompts
from s2sw.model.weights.clip import ClipWeights

EVERY = tuple(WORDS)


@torch.inference_mode()
def text_features(
    clip: ClipWeights, prompts: str | Path | LearnedPrompts, families: tuple[str, ...] = EVERY
) -> tuple[dict[str, Tensor], str]:
    """Return each family's raw text features (2, C): normal, anomalous; and what the prompts are called.

    prompts: a file, learned prompts in memory, or "handwritten".
    """
    tower = clip.text_tower()
    if prompts == "handwritten":
        return handwritten_features(tower, families), "handwritten"
    if isinstance(prompts, LearnedPrompts):
        return prompts.features(tower, families), "learned"
    learned = read_prompts(Path(prompts), clip.text.width, families)
    label = "authors' checkpoint" if learned.embedded else "learned"
    return learned.features(tower, families), f"{label} {Path(prompts).name}"
