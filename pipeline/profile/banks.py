"""A group's file: its bank as tensors, and whose pictures they are."""

import json
from dataclasses import dataclass

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from s2sw.model.rarity.bank import Bank
from s2sw.pipeline.profile.bank_header import PICTURES
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.schemas.profile import GroupRecord

_NAMES = ("owners", "cases", "slices")


@dataclass(frozen=True)
class GroupBank:
    """A bank, and for each of its pictures the id of its object, its case ("" for none) and its slice."""

    bank: Bank
    owners: tuple[str, ...]
    cases: tuple[str, ...]
    slices: tuple[int, ...]


def write_bank(folder: ProfileFolder, name: str, found: GroupBank) -> str:
    """Write a group's file and return its SHA-256."""
    tensors: dict[str, Tensor] = {"descriptions": found.bank.descriptions}
    for tap, (basis, patches) in enumerate(zip(found.bank.bases, found.bank.patches, strict=True)):
        tensors |= {f"basis.{tap}": basis, f"patches.{tap}": patches}
    # under one name: safetensors writes several in an order of chance
    listed = {PICTURES: json.dumps([getattr(found, key) for key in _NAMES])}
    return folder.write_file(name, save({key: t.contiguous() for key, t in tensors.items()}, listed))


def read_bank(folder: ProfileFolder, group: GroupRecord, patches: int) -> GroupBank:
    """Return a group's bank. patches: of a picture, as the detector has them. Raises ProfileError."""
    data, pictures = folder.read_bank(group, patches)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise folder.damaged(group, type(error).__name__) from None
    taps = range(len(group.taps))
    bank = Bank(
        tensors["descriptions"],
        tuple(tensors[f"basis.{tap}"] for tap in taps),
        tuple(tensors[f"patches.{tap}"] for tap in taps),
    )
    return GroupBank(bank, *pictures)
