"""The connected components of a volume's masks, slice by slice, so that no volume is ever in memory."""

from dataclasses import dataclass, field

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

MOST = 1000
"""Regions of two slices beside each other; a mask with more is noise, and its pixels are one region."""
_NEIGHBOURS = np.ones((3, 3, 3), np.int8)  # voxels that touch at a corner are one, as pixels of a region are

Numbers = NDArray[np.int64]


@dataclass
class Components:
    """Takes masks of a stack from its first slice to its last; ``parts`` says what belongs together.

    Held are the last slice, and of all slices the regions with their sizes.
    """

    _before: NDArray[np.int32] | None = None
    _known: int = 0
    _regions: list[tuple[Numbers, Numbers]] = field(default_factory=list)
    _same: list[Numbers] = field(default_factory=list)

    def add(self, mask: NDArray[np.bool_]) -> None:
        """Take the next slice's mask, bool (rows, cols). One of another size touches none before it."""
        before = self._before
        if before is None or before.shape != mask.shape:
            before = np.zeros(mask.shape, np.int32)
        box = _box(mask | (before > 0))
        old, new = before[box], mask[box]
        labels, count = _labelled(old > 0, new)
        touched = old > 0
        # a pair as one number: finding the different ones takes a fraction of the time
        pairs = np.unique(labels[0][touched].astype(np.int64) * (self._known + 1) + old[touched])
        new_ids, old_ids = np.divmod(pairs, self._known + 1)
        self._same.append(np.stack([new_ids + self._known, old_ids]) - 1)
        sizes = np.bincount(labels[1][new], minlength=count + 1)
        own = np.flatnonzero(sizes)
        self._regions.append((own + self._known - 1, sizes[own]))
        self._before = np.zeros(mask.shape, np.int32)
        self._before[box] = np.where(new, labels[1] + self._known, 0)
        self._known += count

    def add_unknown(self, pixels: int) -> None:
        """Take a slice of whose mask only the size is known: a component of its own."""
        self._before = None
        self._regions.append((np.array([self._known]), np.array([pixels])))
        self._known += 1

    def parts(self) -> tuple[Numbers, Numbers, Numbers]:
        """Return slice (0 is the first), component and pixels of each component in each slice, all (n,)."""
        first, second = np.concatenate([np.empty((2, 0), np.int64), *self._same], axis=1)
        links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(self._known, self._known))
        _, component = connected_components(links, directed=False)
        slices = np.repeat(np.arange(len(self._regions)), [len(ids) for ids, _ in self._regions])
        ids, sizes = (
            np.concatenate([np.empty(0, np.int64), *(region[at] for region in self._regions)])
            for at in (0, 1)
        )
        pairs, place = np.unique(np.stack([slices, component[ids]]), axis=1, return_inverse=True)
        pixels = np.zeros(pairs.shape[1], np.int64)
        np.add.at(pixels, place.ravel(), sizes)
        return pairs[0].astype(np.int64), pairs[1].astype(np.int64), pixels


def _box(inside: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns that hold all true pixels."""
    spans = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    down, across = (slice(int(s[0]), int(s[-1]) + 1) if len(s) else slice(0, 0) for s in spans)
    return down, across


def _labelled(old: NDArray[np.bool_], new: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Return the regions of two slices beside each other, int32 (2, rows, cols), 0 outside, and how many."""
    both = np.stack([old, new])
    labels, count = scipy.ndimage.label(both, _NEIGHBOURS)
    if count > MOST:
        return both.astype(np.int32), 1
    return np.asarray(labels, np.int32), int(count)
