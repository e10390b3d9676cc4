"""A bounded bank of what came before: how rare the patches of a picture are in a stream of pictures.

The bank keeps prototypes, patches that stand for all that were seen, and of each prototype its distance to
the nearest patch of each of the last WINDOW pictures. The rarity of a prototype is the mean of the lowest
LOWEST of these, as MuSc scores a patch. The rarity of another patch is the least, over all prototypes, of its
distance to one plus that one's rarity. By the triangle inequality this is never below MuSc's score of the
patch beside the pictures whose distances are known.

RareCLIP (He et al., ICCV 2025) describes such a bank: prototype features of past pictures, a rarity for each
that is updated all the time, and patches that are scored by the rarity of their nearest prototypes. Its
formulas are not in its abstract; what is computed here was chosen here (docs/profile.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.rarity.bank import LEAST_OTHERS, LOWEST
from s2sw.model.rarity.choosing import CONSTANT
from s2sw.model.rarity.combination import (
    Combination,
    Combined,
    combination_of,
    combine,
    evidence_of,
    usual_of,
)
from s2sw.model.rarity.mutual import REACHES, neighbourhood

PROTOTYPES = 1024
"""Patches at most that one tap keeps for one neighbourhood."""
KEPT = 0.75
"""Share of PROTOTYPES that is left when there are too many."""
WINDOW = 64
"""Pictures whose distances count."""


@dataclass(frozen=True)
class Prototypes:
    """What is kept of one tap in one neighbourhood.

    patches: float16 (m, D), L2-normalised. apart: float32 (m, WINDOW), distances to the nearest patch of each
    picture in the window. reach: patches nearer than this to a prototype are not taken in.
    """

    patches: Tensor
    apart: Tensor
    reach: float = 0.0

    def rare(self, patches: Tensor, allowed: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the rarity (N,) of patches (N, D) beside the pictures of some columns, bool (WINDOW,)."""
        columns = self.apart[:, allowed]
        count = max(1, round(LOWEST * columns.shape[1]))
        own = columns.topk(count, dim=1, largest=False).values.mean(dim=1)
        return (distances(patches, self.patches, dtype) + own).amin(dim=1)

    def with_picture(self, patches: Tensor, column: int, most: int, dtype: torch.dtype) -> "Prototypes":
        """Return the prototypes after a picture (N, D) whose distances go into a column. most: prototypes."""
        apart = self.apart.clone()
        if len(self.patches):
            between = distances(patches, self.patches, dtype)
            apart[:, column] = between.amin(dim=0)
            near, nearest = between.min(dim=1)
        else:
            near = patches.new_full((len(patches),), torch.inf, dtype=torch.float32)
        far = (near > self.reach).nonzero()[:, 0]
        if not len(far):
            return replace(self, apart=apart)
        between = distances(patches[far], patches[far], dtype)
        rows = far[spread(between, near[far], self.reach, len(far))]
        added = self.apart.new_zeros(len(rows), WINDOW)
        if len(self.patches):  # at most as far as its nearest prototype is, and that one's distance
            added = apart[nearest[rows]] + near[rows, None]
        added[:, column] = 0
        both = torch.cat([self.patches, patches[rows].half()]), torch.cat([apart, added])
        return Prototypes(*both, self.reach)._thinned(most, dtype)

    def _thinned(self, most: int, dtype: torch.dtype) -> "Prototypes":
        """Return the ones that lie farthest from each other, if there are more than ``most``."""
        if len(self.patches) <= most:
            return self
        between = distances(self.patches, self.patches, dtype)
        near = torch.full_like(between[0], torch.inf)
        rows = spread(between, near, self.reach, max(1, int(KEPT * most)))
        left = between[rows].amin(dim=0).amax()
        return Prototypes(self.patches[rows], self.apart[rows], max(self.reach, float(left)))


def distances(patches: Tensor, others: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the distances (N, M), 0..2, between L2-normalised patches (N, D) and (M, D); float32.

    dtype: of the products.
    """
    wide = others.to(dtype)
    # as in ``bank``: taken from one before the sum is rounded, bfloat16 has finer steps near nought
    apart = functional.linear(-patches.to(dtype), wide, wide.new_ones(len(wide)))
    return (2 * apart.float()).clamp_(min=0).sqrt_()


def spread(between: Tensor, near: Tensor, reach: float, most: int) -> Tensor:
    """Return rows that cover all n: each the one farthest from those before, until all are within reach.

    The greedy choice of k centres. between: distances (n, n). near: of each row to what is kept already,
    (n,). Of equals the first is taken. Returns int64 (k,), k at most ``most``.
    """
    # one after another, so on the host: there a step takes microseconds
    apart, left = between.cpu().numpy(), near.cpu().numpy().copy()
    rows: list[int] = []
    while len(rows) < most:
        row = int(left.argmax())
        if left[row] <= reach:
            break
        rows.append(row)
        np.minimum(left, apart[row], out=left)
        left[row] = -np.inf  # its distance to itself is nought but for rounding
    return torch.tensor(rows, dtype=torch.int64, device=between.device)


@dataclass(frozen=True, slots=True)
class Past:
    """A picture of the window: ids of its object and case, and what was found of it before it was taken in.

    evidence: zero-shot score (), zero-shot map (N,), rarity (N,); None where too little came before.
    """

    owner: str
    case: str
    evidence: tuple[Tensor, Tensor, Tensor] | None = None


@dataclass(frozen=True)
class OnlineBank:
    """The bank of one group of pictures. It depends on the pictures that were taken in and on their order.

    most: prototypes of one tap in one neighbourhood, at most. dtype: of products. sets: for each tap its
    neighbourhoods, the smallest first. past: the pictures of the window, by column. taken: how many pictures
    were taken in so far.
    """

    most: int = PROTOTYPES
    dtype: torch.dtype = torch.float32
    sets: tuple[Prototypes, ...] = ()
    past: tuple[Past, ...] = ()
    taken: int = 0

    def rare(self, taps: Sequence[Tensor], owner: str = "", case: str = "") -> Tensor | None:
        """Return how rare the patches of a picture are, float32 (N,), 0 or more.

        taps: (N, D) each. Pictures of the same object and case do not count. None where fewer than
        LEAST_OTHERS came before.
        """
        columns = [one.owner != owner and not (case and one.case == case) for one in self.past]
        if sum(columns) < LEAST_OTHERS:
            return None
        allowed = torch.zeros(WINDOW, dtype=torch.bool)
        allowed[: len(columns)] = torch.tensor(columns)
        allowed = allowed.to(self.sets[0].apart.device)
        found = [
            kept.rare(patches, allowed, self.dtype)
            for kept, patches in zip(self.sets, neighbourhoods(taps), strict=True)
        ]
        return torch.stack(found).mean(dim=0)

    def rank(self, score: Tensor, tokens: Tensor, rare: Tensor) -> Combined | None:
        """Return the zero-shot score (), map (N,) and rarity (N,) of a picture as one, as a profile does.

        What is usual is taken from the pictures of the window. None where fewer than LEAST_OTHERS of these
        have a rarity.
        """
        return combine(self._usual, score, tokens, rare[None]) if self._usual else None

    @cached_property
    def _usual(self) -> Combination | None:
        known = [one.evidence for one in self.past if one.evidence is not None]
        if len(known) < LEAST_OTHERS:
            return None
        scores, maps, rares = (torch.stack(part) for part in zip(*known, strict=True))
        usual = usual_of(scores, maps, rares[:, None])
        return combination_of(usual, evidence_of(usual, scores, maps, rares[:, None]), CONSTANT)

    def after(self, taps: Sequence[Tensor], past: Past) -> "OnlineBank":
        """Return the bank with a picture taken in; the oldest one of a full window has left."""
        wide = neighbourhoods(taps)
        sets = self.sets or [
            Prototypes(one.new_zeros(0, one.shape[1], dtype=torch.float16), one.new_zeros(0, WINDOW))
            for one in wide
        ]
        column = self.taken % WINDOW
        updated = tuple(
            kept.with_picture(patches, column, self.most, self.dtype)
            for kept, patches in zip(sets, wide, strict=True)
        )
        window = (*self.past[:column], past, *self.past[column + 1 :])
        return OnlineBank(self.most, self.dtype, updated, window, self.taken + 1)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return all of the bank: tensors by name, and what JSON holds."""
        tensors: dict[str, Tensor] = {}
        for number, kept in enumerate(self.sets):
            tensors |= {f"patches.{number}": kept.patches, f"apart.{number}": kept.apart}
        known = {n: one.evidence for n, one in enumerate(self.past) if one.evidence is not None}
        for name, part in zip(EVIDENCE, zip(*known.values(), strict=True), strict=False):
            tensors[name] = torch.stack(part)
        facts = {
            "taken": self.taken,
            "most": self.most,
            "reaches": [kept.reach for kept in self.sets],
            "past": [[one.owner, one.case] for one in self.past],
            "known": list(known),
        }
        return {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, facts

    @classmethod
    def of_state(
        cls, tensors: Mapping[str, Tensor], facts: Mapping[str, Any], device: str, dtype: torch.dtype
    ) -> "OnlineBank":
        """Return the bank of a state. Raises LookupError, TypeError, ValueError for one that is none."""
        evidence: dict[int, tuple[Tensor, Tensor, Tensor]] = {}
        if facts["known"]:
            parts = zip(*(tensors[name] for name in EVIDENCE), strict=True)
            evidence = dict(zip(facts["known"], parts, strict=True))
        past = tuple(Past(owner, case, evidence.get(n)) for n, (owner, case) in enumerate(facts["past"]))
        sets = tuple(
            Prototypes(tensors[f"patches.{n}"].to(device), tensors[f"apart.{n}"].to(device), float(reach))
            for n, reach in enumerate(facts["reaches"])
        )
        return cls(int(facts["most"]), dtype, sets, past, int(facts["taken"]))


EVIDENCE = ("scores", "tokens", "rare")


def neighbourhoods(taps: Sequence[Tensor]) -> list[Tensor]:
    """Return the taps (N, D) in each neighbourhood of 1, 3 and 5, L2-normalised, float32, tap by tap."""
    return [neighbourhood(tap[None], reach)[0] for tap in taps for reach in REACHES]
