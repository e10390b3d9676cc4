"""Ranks slices by a profile, in the process that detects: banks are read when needed, and some are kept."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s2sw.model.maps import MapLayer, is_ordinary, layered_map
from s2sw.model.rarity.bank import Bank
from s2sw.model.rarity.combination import Combination, Line, Usual, combine
from s2sw.model.rarity.features import Features
from s2sw.pipeline.profile.banks import GroupBank, read_bank
from s2sw.pipeline.profile.place import ProfilePlace, Subject
from s2sw.schemas.forms import LARGEST_INDEX, is_object_id
from s2sw.schemas.profile import GroupRecord, LineRecord

CACHE_BYTES = 1 << 30
"""Of banks that a process keeps at once; at least one."""


SHOWN = 4
"""Pictures of a bank that are named beside a slice."""


class Seen(NamedTuple):
    """What the detector says of one view of a slice: a score and a map (N,), 0..1, and its N patches."""

    features: Features
    score: float
    tokens: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a profile says of a slice.

    tokens: the combined maps of its views, float32 (1 + tiles, g * g), 0..1. similar: object and slice of the
    pictures most like it, none where the profile has no ids.
    """

    group: str
    rarity: float
    rank: float
    tokens: Tensor
    similar: tuple[tuple[str, int], ...] = ()


class ProfileRanking:
    """Ranks slices. Safe for several threads."""

    def __init__(
        self,
        place: ProfilePlace,
        patches: int,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Take a profile. patches: of a picture, as the detector has them. dtype: of products of patches."""
        self._patches = patches
        self._folder = place.folder()
        self._groups = {group.name: group for group in place.record.groups}
        self._device, self._dtype = device, dtype
        self._kept: OrderedDict[str, GroupBank] = OrderedDict()
        self._lock = threading.Lock()

    def rank(self, subject: Subject, views: Sequence[Seen]) -> Ranked | None:
        """Return what the groups of a slice say of it; None where one of its views has none that can.

        views: the whole, then its tiles, which groups of tiles judge. The highest rank counts; the group is
        that of the whole. Raises ProfileError.
        """
        levels = [subject, *[subject.of_tiles()] * (len(views) - 1)]
        found = [self._rank(level, one) for level, one in zip(levels, views, strict=True)]
        ranked = [one for one in found if one is not None]
        if len(ranked) < len(views):
            return None
        tokens = torch.cat([one.tokens for one in ranked])
        return replace(max(ranked, key=lambda one: one.rank), group=ranked[0].group, tokens=tokens)

    def _rank(self, subject: Subject, seen: Seen) -> Ranked | None:
        """Return what the first group that can says of a view."""
        for name in subject.groups:
            group = self._groups.get(name)
            if group is None:
                continue
            kept = self._bank(group)
            similar = _most_similar(kept, subject, seen.features)
            found = kept.bank.compare_with(similar, kept.bank.of_picture(seen.features), self._dtype)
            if found is not None:
                score, tokens = torch.tensor(seen.score), torch.from_numpy(seen.tokens)
                combined = combine(combination_from(group), score, tokens, found.cpu())
                shown = _shown(kept, similar.tolist())
                return Ranked(name, combined.rarity, combined.rank, combined.tokens[None], shown)
        return None

    def _bank(self, group: GroupRecord) -> GroupBank:
        with self._lock:
            kept = self._kept.get(group.name)
            if kept is None:
                kept = _on_device(read_bank(self._folder, group, self._patches), self._device)
                self._kept[group.name] = kept
                while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > CACHE_BYTES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(group.name)
            return kept


def compared(kept: GroupBank, subject: Subject, features: Features) -> Tensor | None:
    """Return the rarity (taps, N) of a slice's patches beside pictures of other objects and cases."""
    return kept.bank.compare_with(_most_similar(kept, subject, features), kept.bank.of_picture(features))


def own_row(kept: GroupBank, row: int) -> Tensor | None:
    """Return the rarity (taps, N) of a bank's own picture beside those of other objects and cases."""
    allowed = _may_vouch(kept, kept.owners[row], kept.cases[row])
    return kept.bank.compare(kept.bank.descriptions[row], kept.bank.own(row), allowed)


def _most_similar(kept: GroupBank, subject: Subject, features: Features) -> Tensor:
    return kept.bank.most_similar(features.description, _may_vouch(kept, subject.owner, subject.case))


def _shown(kept: GroupBank, rows: list[int]) -> tuple[tuple[str, int], ...]:
    """Return object and slice of the first of these pictures, one of each object or case."""
    first: dict[str, tuple[str, int]] = {}
    for row in rows:
        owner, index = kept.owners[row], kept.slices[row]
        # whoever made the profile may have written any names, and a copy for another site has none
        if is_object_id(owner) and 0 <= index <= LARGEST_INDEX:
            first.setdefault(kept.cases[row] or owner, (owner, index))
    return tuple(first.values())[:SHOWN]


def _may_vouch(kept: GroupBank, owner: str, case: str) -> Tensor:
    pairs = zip(kept.owners, kept.cases, strict=True)
    return torch.tensor([other != owner and (not of or of != case) for other, of in pairs])


def combination_from(group: GroupRecord) -> Combination:
    """Return a group's combination."""
    usual = Usual(
        tuple(map(_line, group.taps)), *map(_line, (group.patches, group.token, group.picture, group.score))
    )
    return Combination(usual, group.weight, _line(group.rank), _line(group.map))


def zero_shot_tokens(
    token_map: NDArray[np.floating], layers: tuple[MapLayer, ...], patches: int
) -> NDArray[np.float32]:
    """Return a zero-shot map at a square of so many patches, (patches,), 0..1."""
    grid = isqrt(patches)
    if is_ordinary(layers) and layers[0].grid == grid:
        return np.asarray(token_map, np.float32).reshape(-1)
    whole: NDArray[np.float32] = layered_map(token_map[None], layers, (grid, grid))[0]
    return whole.reshape(-1)


def _line(record: LineRecord) -> Line:
    return Line(record.offset, record.scale)


def _size(kept: GroupBank) -> int:
    return sum(patches.numel() for patches in kept.bank.patches)


def _on_device(kept: GroupBank, device: str) -> GroupBank:
    bank = kept.bank
    moved = Bank(
        bank.descriptions.to(device),
        tuple(basis.to(device) for basis in bank.bases),
        tuple(patches.to(device) for patches in bank.patches),
    )
    return replace(kept, bank=moved)
