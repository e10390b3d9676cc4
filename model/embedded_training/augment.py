"""What is changed on stem features in training: the network must not lean on what generated surfaces share.

Both twins of a pair are changed alike: they must differ by the defect alone.
"""

import torch
from torch import Tensor

from s2sw.model.embedded_training.recipe import Recipe
from s2sw.model.towers.shapes import StemShape
from s2sw.model.towers.stem import FLAT


def generator_of(recipe: Recipe, step: int) -> torch.Generator:
    """Return the source of a step's changes: the same for a seed and step."""
    return torch.Generator().manual_seed(1_000_003 * recipe.seed + step)


def shown(recipe: Recipe, shape: StemShape, generator: torch.Generator) -> Tensor:
    """Draw which described features each pair shows, (B, 1, described) of 0 and 1."""
    pairs = recipe.batch // 2
    seen = torch.rand(pairs, 1, shape.described, generator=generator) >= recipe.dropped
    plain = torch.rand(pairs, 1, 1, generator=generator) >= recipe.blind
    seen[..., : shape.features] &= plain
    return seen.float().repeat_interleave(2, dim=0)


def restyled(features: Tensor, recipe: Recipe, shape: StemShape, generator: torch.Generator) -> Tensor:
    """Give a share of the pairs the means and deviations of other pairs' components, in part.

    features: (B, N, K), twins side by side; the normal twin says what is a picture's style. Source: Zhou et
    al., "Domain generalization with MixStyle", ICLR 2021.
    """
    pairs = len(features) // 2
    if not recipe.restyled:
        return features
    components = features[..., : shape.components].float()
    deviation, mean = torch.std_mean(components[0::2], dim=1, keepdim=True, correction=0)
    deviation = deviation + FLAT
    other = torch.randperm(pairs, generator=generator)
    chosen = torch.rand(pairs, 1, 1, generator=generator) < recipe.restyled
    part = chosen * torch.rand(pairs, 1, 1, generator=generator)
    new_mean, new_deviation = (torch.lerp(own, own[other], part) for own in (mean, deviation))
    twice = [one.repeat_interleave(2, dim=0) for one in (mean, deviation, new_mean, new_deviation)]
    changed = (components - twice[0]) / twice[1] * twice[3] + twice[2]
    return torch.cat([changed.to(features.dtype), features[..., shape.components :]], dim=-1)
