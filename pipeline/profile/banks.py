"""A group's file: its bank as tensors, and whose pictures they are."""

import json
from dataclasses import dataclass

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from s2sw.model.rarity.bank import Bank
from s2sw.pipeline.profile.folder import ProfileError, ProfileFolder
from s2sw.schemas.profile import GroupRecord

_PICTURES = "pictures"
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
    listed = {_PICTURES: json.dumps([getattr(found, key) for key in _NAMES])}
    return folder.write_file(name, save({key: t.contiguous() for key, t in tensors.items()}, listed))


def read_bank(folder: ProfileFolder, group: GroupRecord) -> GroupBank:
    """Return a group's bank. Raises ProfileError."""
    data = folder.read_file(group)
    try:
        tensors = load(data)
        size = int.from_bytes(data[:8], "little")
        listed = json.loads(data[8 : 8 + size])["__metadata__"]
        owners, cases, slices = map(tuple, json.loads(listed[_PICTURES]))
        count = sum(name.startswith("basis.") for name in tensors)
        bank = Bank(
            tensors["descriptions"],
            tuple(tensors[f"basis.{tap}"] for tap in range(count)),
            tuple(tensors[f"patches.{tap}"] for tap in range(count)),
        )
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        problem = f"profile: {folder.address}/{group.file} is damaged ({type(error).__name__})"
        raise ProfileError(f"{problem}; build it again") from None
    return GroupBank(bank, owners, cases, slices)
