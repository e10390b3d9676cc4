"""Label Studio's run lengths of brush regions, which are those of the package @thi.ng/rle-pack.

The format, as its README gives it, most significant bit first: 32 bits number of words; 5 bits word size - 1;
four times 4 bits, the sizes - 1 of a run's length; then the runs. Each: 1 bit (1: one value repeated), 2 bits
(which of the four sizes), the number of repeats after the first in that size, and the value.
"""

import numpy as np
from numpy.typing import NDArray

WORD_BITS = 8
SIZES = (3, 4, 8, 16)
LONGEST = 1 << SIZES[-1]
CHANNELS = 4  # Label Studio's canvas: red, green, blue and opacity of a pixel
PAINTED = 255


def encode_brush(mask: NDArray[np.bool_]) -> list[int]:
    """Return ``value.rle`` of a brush region: bytes of the run lengths of its RGBA canvas, row by row.

    mask: bool (rows, cols).
    """
    flat = mask.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size)) * CHANNELS
    bits = [f"{flat.size * CHANNELS:032b}", f"{WORD_BITS - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    for value, length in zip(flat[starts], lengths.tolist(), strict=True):
        bits += _runs(PAINTED if value else 0, length)
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _runs(value: int, length: int) -> list[str]:
    """Return a run as bits, in as many as its length needs."""
    runs = []
    while length > 0:
        repeats = min(length, LONGEST) - 1
        place = next(i for i, size in enumerate(SIZES) if repeats < 1 << size)
        runs.append(f"1{place:02b}{repeats:0{SIZES[place]}b}{value:0{WORD_BITS}b}")
        length -= repeats + 1
    return runs
