"""Ranks slices by what came before them, one after another, in the one process that scores."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from s2sw.model.rarity.mutual import neighbourhood
from s2sw.model.rarity.online import OnlineBank, Past
from s2sw.pipeline.profile.folder import ProfileError
from s2sw.pipeline.profile.place import Subject
from s2sw.pipeline.profile.ranking import Ranked
from s2sw.pipeline.profile.stream import FACTS, facts_of
from s2sw.schemas.tables import Row

GROUPS = 8
"""Groups that have a bank of their own; slices of further ones share that of their most general group."""
PICTURES = 8
"""Slices of one object that are taken in, at most: a volume is not to fill the window alone."""
END = -1
"""slice_index of the row that ends an object (``stages.wire``)."""


@dataclass(frozen=True)
class _Seen:
    """A slice of the object under way: its group, its patches as they are kept, and what was found of it."""

    group: str
    taps: tuple[Tensor, ...]
    past: Past


@dataclass
class _Object:
    """The object under way. step: every such slice is kept; it doubles when there are too many."""

    owner: str = ""
    seen: list[_Seen] = field(default_factory=list)
    slices: int = 0
    step: int = 1

    def add(self, one: _Seen) -> None:
        if self.slices % self.step == 0:
            self.seen.append(one)
            if len(self.seen) > PICTURES:
                self.seen, self.step = self.seen[::2], 2 * self.step
        self.slices += 1


@dataclass(frozen=True)
class _Now:
    """All that changes, in one value, so that an interruption cannot part it. whole: not taken in yet."""

    banks: Mapping[str, OnlineBank]
    whole: _Object | None = None


class OnlineRanking:
    """Ranks slices by those of earlier objects. Not for several threads: rows come in their order.

    An object is taken in once it is whole; its own slices and those of its case never vouch for it.
    """

    def __init__(self, banks: Mapping[str, OnlineBank], device: str, dtype: torch.dtype) -> None:
        self._now, self._open = _Now(banks), _Object()
        self._device, self._dtype = device, dtype

    @classmethod
    def of_state(cls, data: bytes, device: str, dtype: torch.dtype) -> "OnlineRanking":
        """Return the ranking of a state; b"" is the one before any picture. Raises ProfileError."""
        if not data:
            return cls({}, device, dtype)
        try:
            facts, tensors = facts_of(data), load(data)
            assert facts is not None  # ``Stream`` has looked
            banks = {
                name: OnlineBank.of_state(_of_bank(tensors, number), own, device, dtype)
                for number, (name, own) in enumerate(facts["banks"].items())
            }
        except (SafetensorError, LookupError, TypeError, ValueError) as error:
            raise ProfileError(
                f"profile: online: the state in the private folder is damaged ({type(error).__name__}); "
                "use another output"
            ) from None
        return cls(banks, device, dtype)

    def note(self, row: Row) -> None:
        """Take notice of a row that comes next: it may begin an object, or end one."""
        self._settle()
        if row["slice_index"] == 0:  # also where it is tried again, after its process died
            self._open = _Object(row["owner"])
        elif row["slice_index"] == END:
            whole = row["reason"] is None and self._open.slices == row["n_slices"] > 0
            if whole and self._open.owner == row["owner"]:
                self._now = _Now(self._now.banks, self._open)
            self._open = _Object()

    def rank(
        self, subject: Subject, taps: Sequence[Tensor], score: float, tokens: NDArray[np.float32]
    ) -> Ranked | None:
        """Return what came before says of a slice, None where too little did.

        taps: (N, D) each, all of the detector's. score, tokens: as of ``ProfileRanking.rank``.
        """
        name = self._group(subject.groups)
        if name is None:
            return None
        bank = self._now.banks.get(name) or OnlineBank(dtype=self._dtype)
        found = bank.rare(taps, subject.owner, subject.case)
        rare = None if found is None else found.cpu()
        zero_shot = torch.tensor(score), torch.from_numpy(tokens)
        past = Past(subject.owner, subject.case, None if rare is None else (*zero_shot, rare))
        kept = tuple(neighbourhood(tap[None], 0)[0].half() for tap in taps)
        self._open.add(_Seen(name, kept, past))
        ranked = None if rare is None else bank.rank(*zero_shot, rare)
        return None if ranked is None else Ranked(name, ranked.rarity, ranked.rank, ranked.tokens[None])

    def state(self, ids: Sequence[str], facts: Mapping[str, Any]) -> bytes:
        """Return the state with these objects, and without one that is whole but none of them.

        facts: what is written into its header, too.
        """
        if self._now.whole is not None and self._now.whole.owner in ids:
            self._settle()
        tensors: dict[str, Tensor] = {}
        banks: dict[str, Any] = {}
        for number, (name, bank) in enumerate(self._now.banks.items()):
            own, banks[name] = bank.state()
            tensors |= {f"{number}.{part}": tensor for part, tensor in own.items()}
        return save(tensors, {FACTS: json.dumps({**facts, "banks": banks})})

    def _settle(self) -> None:
        """Take in the object that is whole."""
        if self._now.whole is None:
            return
        banks = dict(self._now.banks)
        for one in self._now.whole.seen:
            bank = banks.get(one.group) or OnlineBank(dtype=self._dtype)
            banks[one.group] = bank.after(one.taps, one.past)
        self._now = _Now(banks)

    def _group(self, groups: Sequence[str]) -> str | None:
        banks = self._now.banks
        own, general = groups[0], groups[-1]
        if own in banks or len(banks) < GROUPS:
            return own
        return general if general in banks or len(banks) < 2 * GROUPS else None


def _of_bank(tensors: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    own = f"{number}."
    return {name.removeprefix(own): tensor for name, tensor in tensors.items() if name.startswith(own)}
