"""A group's file: its bank as tensors, whose pictures they are, and what was seen of them."""

import json
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from s2sw.model.rarity.bank import Bank
from s2sw.pipeline.profile.bank_header import PICTURES
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.schemas.profile import BankFile, GroupRecord

_NAMES = ("owners", "cases", "slices", "views")


@dataclass(frozen=True)
class GroupBank:
    """A bank, and of each of its n pictures the id of its object, its case ("" for none), its slice, and of
    this the view: 0 for the whole, else a tile.

    scores: zero-shot, float32 (n,), 0..1. tokens: zero-shot maps at the patches, float32 (n, N), 0..1.
    """

    bank: Bank
    owners: tuple[str, ...]
    cases: tuple[str, ...]
    slices: tuple[int, ...]
    views: tuple[int, ...]
    scores: Tensor
    tokens: Tensor


def write_bank(folder: ProfileFolder, found: GroupBank) -> BankFile:
    """Write a group's file."""
    tensors: dict[str, Tensor] = {
        "descriptions": found.bank.descriptions, "scores": found.scores, "tokens": found.tokens,
    }  # fmt: skip
    for tap, (basis, patches) in enumerate(zip(found.bank.bases, found.bank.patches, strict=True)):
        tensors |= {f"basis.{tap}": basis, f"patches.{tap}": patches}
    # under one name: safetensors writes several in an order of chance
    listed = {PICTURES: json.dumps([getattr(found, key) for key in _NAMES])}
    return folder.write_bank(save({key: t.contiguous() for key, t in tensors.items()}, listed))


def read_bank(folder: ProfileFolder, group: GroupRecord, patches: int) -> GroupBank:
    """Return a group's bank. patches: of a picture, as the detector has them. Raises ProfileError."""
    data, pictures = folder.read_bank(group, patches)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise folder.damaged(group, type(error).__name__) from None
    shares = tensors["scores"], tensors["tokens"]
    if not all(bool(((values >= 0) & (values <= 1)).all()) for values in shares):
        raise folder.damaged(group, "the scores of its pictures are no shares of 1")
    if not all(bool(torch.isfinite(values).all()) for values in tensors.values()):
        raise folder.damaged(group, "some of its numbers are not finite")
    taps = range(len(group.taps))
    bank = Bank(
        tensors["descriptions"],
        tuple(tensors[f"basis.{tap}"] for tap in taps),
        tuple(tensors[f"patches.{tap}"] for tap in taps),
    )
    return GroupBank(bank, *pictures, *shares)
