"""Mutants of sound files of weights."""

import random
import struct
import zipfile
from io import BytesIO
from pathlib import Path

from tests.security.hostile_weights import archive

MUTANTS = 2000


def mutants(sources: list[Path], folder: Path, seed: int) -> int:
    """Write ``MUTANTS`` mutated files and return how many."""
    draw = random.Random(seed)
    originals = [path.read_bytes() for path in sources]
    for number in range(MUTANTS):
        data = draw.choice(originals)
        mutant = _remade(data, draw) if data[:2] == b"PK" and draw.random() < 0.7 else _mutated(data, draw)
        (folder / f"mutant-{number:04}.pt").write_bytes(mutant)
    return MUTANTS


def _remade(data: bytes, draw: random.Random) -> bytes:
    """Mutate one member and make a sound archive of the result, so that no checksum gives it away."""
    with zipfile.ZipFile(BytesIO(data)) as file:
        members = {name.partition("/")[2]: file.read(name) for name in file.namelist()}
    wanted = [name for name in members if name.endswith(("data.pkl", ".py")) or name.startswith("data/")]
    name = "data.pkl" if draw.random() < 0.6 else draw.choice(wanted)
    members[name] = _mutated(members[name], draw)
    return archive(members)


def _mutated(data: bytes, draw: random.Random) -> bytes:
    mutant = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4, 16))):
        if not mutant:
            break
        at = draw.randrange(len(mutant))
        match draw.randrange(5):
            case 0:
                mutant[at] ^= 1 << draw.randrange(8)
            case 1:
                mutant[at] = draw.choice(b"\x00\x01\x7f\xff\x80.c(tR}])uabQ0hqrXJMK")
            case 2:
                del mutant[at : at + draw.choice((1, 2, 8, 200))]
            case 3:
                piece = mutant[at : at + draw.choice((1, 4, 40))]
                mutant[at:at] = piece * draw.choice((1, 2, 30))
            case _:
                mutant[at : at + 4] = struct.pack("<I", draw.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 20)))
    return bytes(mutant)
