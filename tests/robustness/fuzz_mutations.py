"""Mutations of a file: blind ones, and ones that know where a format keeps its numbers."""

import gzip
import random
import struct
import zlib

INTERESTING = (
    0, 1, 2, 3, 7, 8, 16, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF,
)  # fmt: skip

_ITEM = b"\xfe\xff\x00\xe0"


def mutate(kind: str, data: bytes, others: list[tuple[str, bytes]], dice: random.Random) -> bytes:
    """Return a mutated copy of a seed. Half of the compressed and checksummed ones are made valid again."""
    if kind == "gzip" and dice.random() < 0.8:
        return gzip.compress(_mutated(gzip.decompress(data), others, dice), 1)
    mutated = _mutated(data, others, dice)
    if kind == "dicom" and _ITEM in data and dice.random() < 0.5:
        return _tamper_codestream(data, dice)
    if kind == "dicom" and dice.random() < 0.5:
        mutated = _tamper_group_0028(mutated, dice)
    if kind == "png" and dice.random() < 0.7:
        mutated = _repair_png(mutated)
    return mutated


def _mutated(data: bytes, others: list[tuple[str, bytes]], dice: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        if not out:
            break
        dice.choice((_flip, _flip, _number, _number, _truncate, _insert, _delete, _repeat))(out, dice)
    if dice.random() < 0.03:
        other = dice.choice(others)[1]
        cut = dice.randrange(len(out) + 1)
        out[cut:] = other[dice.randrange(len(other) or 1) :]
    return bytes(out)


def _position(out: bytearray, dice: random.Random) -> int:
    """Return a place to change, more often near the start where headers are."""
    reach = len(out) if dice.random() < 0.4 else min(len(out), 2048)
    return dice.randrange(reach)


def _flip(out: bytearray, dice: random.Random) -> None:
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        out[_position(out, dice)] ^= 1 << dice.randrange(8)


def _number(out: bytearray, dice: random.Random) -> None:
    at, form = _position(out, dice), dice.choice(("<H", ">H", "<I", ">I"))
    size = struct.calcsize(form)
    out[at : at + size] = struct.pack(form, dice.choice(INTERESTING) & (1 << 8 * size) - 1)


def _truncate(out: bytearray, dice: random.Random) -> None:
    if dice.random() < 0.4:
        del out[_position(out, dice) :]


def _insert(out: bytearray, dice: random.Random) -> None:
    at = _position(out, dice)
    out[at:at] = dice.randbytes(dice.choice((1, 2, 4, 64)))


def _delete(out: bytearray, dice: random.Random) -> None:
    at = _position(out, dice)
    del out[at : at + dice.choice((1, 2, 4, 64, 1024))]


def _repeat(out: bytearray, dice: random.Random) -> None:
    at = _position(out, dice)
    part = out[at : at + dice.choice((4, 16, 256))]
    out[at:at] = part * dice.choice((1, 2, 50))


def _tamper_group_0028(data: bytes, dice: random.Random) -> bytes:
    """Change the value of one element of the Image Pixel group: rows, bits, samples, windows, tables."""
    places, at = [], data.find(b"\x28\x00")
    while at >= 0 and len(places) < 60:
        places.append(at)
        at = data.find(b"\x28\x00", at + 2)
    if not places:
        return data
    out, place = bytearray(data), dice.choice(places) + dice.choice((2, 4, 6, 8, 8, 8))
    out[place : place + 2] = struct.pack("<H", dice.choice(INTERESTING) & 0xFFFF)
    return bytes(out)


def _tamper_codestream(data: bytes, dice: random.Random) -> bytes:
    """Change bytes of a compressed frame and nothing around it, more often in its header."""
    out, last = bytearray(data), data.rfind(_ITEM) + 8
    reach = max(1, len(out) - last - 8)
    for _ in range(dice.choice((1, 2, 4, 8))):
        at = last + dice.randrange(min(reach, 200) if dice.random() < 0.5 else reach)
        if at + 2 <= len(out):
            out[at : at + 2] = dice.choice(
                (b"\xff\xd9", b"\xff\xda", b"\xff\xff", b"\0\0", dice.randbytes(2))
            )
    return bytes(out)


def _repair_png(data: bytes) -> bytes:
    """Make the checksums of chunks right again, as far as their lengths hold."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        length = int.from_bytes(out[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(out):
            break
        out[end : end + 4] = struct.pack(">I", zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)
