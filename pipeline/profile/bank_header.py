"""The header of a bank's file: compared with the record and the detector before a tensor is made of it.

Knows no torch: whoever starts a run looks at every bank, and computes with none.
"""

import json
from typing import Any

from s2sw.schemas.profile import HEADER_BYTES, MOST_NUMBERS, PICTURE_HEADER_BYTES, WIDEST, GroupRecord

Pictures = tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...], tuple[int, ...]]
"""Ids of objects, cases ("" for none), slices and their views (0: the whole), one of each a picture."""
PICTURES = "pictures"


def pictures_of(data: bytes, group: GroupRecord, patches: int) -> Pictures:
    """Return whose the pictures of a bank are. Raises ValueError where the file is no bank of this group.

    patches: of a picture, as the detector has them.
    """
    size = int.from_bytes(data[:8], "little")
    if size > HEADER_BYTES + group.pictures * PICTURE_HEADER_BYTES:
        raise ValueError("the header is too large")
    try:
        header = json.loads(data[8 : 8 + size])
        owners, cases, slices, views = json.loads(header.pop("__metadata__")[PICTURES])
        said = {name: (entry["dtype"], tuple(entry["shape"])) for name, entry in header.items()}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("the header is none") from error
    if said != _expected(said, group, patches):
        raise ValueError("its tensors have other shapes or types")
    lists = (owners, cases, slices, views)
    if not all(isinstance(part, list) and len(part) == group.pictures for part in lists):
        raise ValueError("it does not say whose all pictures are")
    named = all(isinstance(one, str) for one in (*owners, *cases))
    if not (named and all(type(one) is int for one in (*slices, *views))):
        raise ValueError("the names of its pictures are none")
    return tuple(owners), tuple(cases), tuple(slices), tuple(views)


def _expected(
    said: dict[str, tuple[Any, tuple[Any, ...]]], group: GroupRecord, patches: int
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the tensors of a bank of the widths that its header says. Raises ValueError beyond bounds."""
    widths = {}
    for tap in range(len(group.taps)):
        wide, kept = (*said.get(f"basis.{tap}", ("", ()))[1], 0, 0)[:2]
        if not (type(wide) is type(kept) is int and 1 <= kept <= min(wide, MOST_NUMBERS) and wide <= WIDEST):
            raise ValueError("the widths of its patches are out of bounds")
        widths[tap] = wide, kept
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    tensors["descriptions"] = ("F32", (group.pictures, widths[0][0]))
    tensors["scores"] = ("F32", (group.pictures,))
    tensors["tokens"] = ("F32", (group.pictures, patches))
    for tap, (wide, kept) in widths.items():
        tensors[f"basis.{tap}"] = ("F32", (wide, kept))
        tensors[f"patches.{tap}"] = ("I8", (group.pictures, patches, kept))
    return tensors
