"""Pictures to train on: where their features lie, and what is true of them."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from s2sw.model.training.store import FeatureStore
from s2sw.model.training.trainees import Batch
from s2sw.model.training.visual import stacked


@dataclass(frozen=True)
class Item:
    """One picture. key: of its features. mask: bits of bool (S, S), row by row; None for a normal one."""

    key: str
    group: str
    anomalous: bool
    mask: NDArray[np.uint8] | None


def packed(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return a mask's bits, as an Item holds them."""
    return np.packbits(mask)


def batch_of(
    items: Sequence[Item], store: FeatureStore, side: int, device: torch.device, beside: Sequence[Item] = ()
) -> Batch:
    """Return some pictures as a batch on the device; beside: a normal one for each, to compare it with."""
    masks = np.zeros((len(items), side * side), np.float32)
    for row, item in zip(masks, items, strict=True):
        if item.mask is not None:
            row[:] = np.unpackbits(item.mask, count=side * side)
    return Batch(
        stacked([store.get(item.key) for item in items], device),
        torch.from_numpy(masks).reshape(-1, side, side).to(device),
        torch.tensor([float(item.anomalous) for item in items], device=device),
        [item.group for item in items],
        stacked([store.get(item.key) for item in beside], device) if beside else None,
    )


def normal_items(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Return the normal pictures of each class that has some."""
    found: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        if not item.anomalous:
            found[item.group].append(item)
    return dict(found)


def another(items: Sequence[Item], than: Item, draw: random.Random) -> Item:
    """Draw one of some pictures, another than this one where there is one."""
    others = [item for item in items if item.key != than.key]
    return draw.choice(others or list(items))


def held_out(items: Sequence[Item], share: float, seed: int) -> tuple[list[Item], list[Item]]:
    """Split into pictures to train on and to hold out, the same share of every class and label."""
    strata: defaultdict[tuple[str, bool], list[Item]] = defaultdict(list)
    for item in items:
        strata[item.group, item.anomalous].append(item)
    train: list[Item] = []
    rest: list[Item] = []
    for name, stratum in sorted(strata.items()):
        order = random.Random(f"{seed} hold out {name}").sample(stratum, len(stratum))  # noqa: S311 (no secret)
        cut = round(share * len(order))
        rest += order[:cut]
        train += order[cut:]
    return train, rest
