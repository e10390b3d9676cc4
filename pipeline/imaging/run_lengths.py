"""COCO's compressed run lengths (pycocotools, rleToString) as masks, whatever they claim.

pycocotools itself leaves what too few runs do not cover as the memory happened to be.
"""

import numpy as np
from numpy.typing import NDArray

FEW_BYTES = 64
"""Up to so many, one by one is quicker than by arrays: most masks are empty and have four."""
LONGEST = 7
"""Characters of a run at most: 5 bits each."""
_FIRST = 48  # the character of the value 0
_MORE, _SIGN, _BITS = 32, 16, 5


def decode_runs(data: bytes, rows: int, cols: int) -> NDArray[np.bool_]:
    """Return the mask, bool (rows, cols), column-major in memory.

    Raises ValueError, before anything of its size is allocated, unless the runs make up exactly its pixels.
    """
    runs = checked_runs(data, rows, cols)
    values = np.zeros(len(runs), np.bool_)
    values[1::2] = True
    return np.repeat(values, runs).reshape(cols, rows).T


def checked_runs(data: bytes, rows: int, cols: int) -> NDArray[np.int64]:
    """Return the lengths of runs, zeros first. Raises ValueError unless they make up exactly the pixels."""
    runs = _few(data) if len(data) <= FEW_BYTES else _many(data)
    if not len(runs) or runs.min() < 0 or runs.max() > rows * cols or runs.sum() != rows * cols:
        raise ValueError(f"the mask's runs do not make up {rows} x {cols} pixels")
    return runs


def _few(data: bytes) -> NDArray[np.int64]:
    runs: list[int] = []
    value = shift = 0
    for byte in data:
        code = byte - _FIRST
        value |= (code & (_MORE - 1)) << shift
        shift += _BITS
        if not 0 <= code < 2 * _MORE or shift > _BITS * LONGEST:
            raise ValueError("the mask holds characters that run lengths have not")
        if code < _MORE:
            value -= (1 << shift) if code & _SIGN else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("the mask's last run is cut")
    return np.array(runs, np.int64)


def _many(data: bytes) -> NDArray[np.int64]:
    codes = np.frombuffer(data, np.uint8) - np.uint8(_FIRST)
    ends = np.flatnonzero(codes < _MORE)
    lengths = np.diff(ends, prepend=-1)
    if codes.max() >= 2 * _MORE or not len(ends) or ends[-1] != len(codes) - 1 or lengths.max() > LONGEST:
        raise ValueError("the mask holds characters that run lengths have not")
    starts = ends - lengths + 1
    runs = (codes[starts] & (_MORE - 1)).astype(np.int64)
    for place in range(1, int(lengths.max())):
        longer = np.flatnonzero(lengths > place)
        part = (codes[starts[longer] + place] & (_MORE - 1)).astype(np.int64)
        runs[longer] |= part << (_BITS * place)
    negative = np.flatnonzero(codes[ends] & _SIGN)
    runs[negative] -= np.int64(1) << (_BITS * lengths[negative])
    # from the fourth on each is the difference from the one before the last
    np.cumsum(runs[1::2], out=runs[1::2])
    np.cumsum(runs[2::2], out=runs[2::2])
    return runs
