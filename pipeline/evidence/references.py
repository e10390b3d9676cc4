"""p-values beside an archive's own past (conformal: Vovk, Gammerman and Shafer 2005, section 2.2).

Of a unit (an object, a case) the highest score of its slices counts, and it is compared with the highest
scores of earlier units of the same group and like length: of the same power of two of slices. A maximum of
many slices is higher than one of few, and slices of one volume are too alike for a correction by formula.
Where units of like length are too few, all longer ones are taken with them: theirs are no lower, so that the
p-value is too large rather than too small. Where those are too few as well there is none.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from s2sw.pipeline.evidence.sketch import Scores, Sketch, merged, sketch_of

LEAST = 50
"""Units that a group's past, or a first night, has at least."""
SLICES = -1
"""In place of a length: slices, each for itself."""
_HELD = 1 << 20  # scores of a group in memory before they become a sketch
_SKETCHES = 64  # of a group in memory before they become one; each time counts are rounded up once more

Key = tuple[str, int]


def length_class(slices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class of like length: 0 for 1 slice, 1 for 2 and 3, 2 for 4 to 7, ...; SLICES stays."""
    exponent = np.frexp(np.maximum(slices, 1).astype(np.float64))[1] - 1
    return np.where(slices == SLICES, SLICES, exponent).astype(np.int64)


@dataclass
class Scored:
    """Scores of units or slices: group, length and score of each, all (n,)."""

    groups: NDArray[np.object_]
    lengths: NDArray[np.int64]
    scores: Scores

    def by_key(self) -> Iterable[tuple[Key, NDArray[np.intp]]]:
        """Yield each group and class of length with the places of its scores."""
        if not len(self.scores):
            return
        names, codes = np.unique(self.groups.astype(str), return_inverse=True)
        classes = length_class(self.lengths)
        order = np.lexsort((classes, codes))
        pairs = np.stack([codes[order], classes[order]])
        starts = np.flatnonzero(np.append(True, (pairs[:, 1:] != pairs[:, :-1]).any(0)))
        for places in np.split(order, starts[1:]):
            yield (str(names[codes[places[0]]]), int(classes[places[0]])), places


def scored(table: pa.Table | pa.RecordBatch) -> Scored:
    """Return the columns group, length and score of a table."""
    groups, lengths, scores = (
        table[name].to_numpy(zero_copy_only=False) for name in ("group", "length", "score")
    )
    return Scored(groups, lengths.astype(np.int64), scores.astype(np.float32))


@dataclass
class Past:
    """The distribution of each group's and length's scores. Scores are added; parts of it become sketches.

    Of those that are there some can be removed again: how many are at least as high is counted off exactly.
    """

    _sketches: defaultdict[Key, list[Sketch]] = field(default_factory=lambda: defaultdict(list))
    _waiting: defaultdict[Key, list[Scores]] = field(default_factory=lambda: defaultdict(list))
    _removed: defaultdict[Key, list[Scores]] = field(default_factory=lambda: defaultdict(list))

    def add(self, batch: Scored) -> None:
        """Take scores."""
        for key, places in batch.by_key():
            waiting = self._waiting[key]
            waiting.append(batch.scores[places])
            if sum(map(len, waiting)) >= _HELD:
                self._fold(key)

    def take(self, key: Key, sketch: Sketch) -> None:
        """Take the distribution of more scores."""
        self._sketches[key].append(sketch)
        if len(self._sketches[key]) > _SKETCHES:
            self._fold(key)

    def remove(self, batch: Scored) -> None:
        """Take scores away that were added."""
        for key, places in batch.by_key():
            self._removed[key].append(batch.scores[places])

    def known(self) -> list[Key]:
        """Return the groups and classes of length that there are."""
        return sorted({*self._sketches, *self._waiting})

    def sketch(self, keys: Iterable[Key]) -> Sketch:
        """Return the sketch of all scores of some groups and lengths."""
        found = []
        for key in keys:
            self._fold(key)
            found += self._sketches[key]
        return merged(found)

    def removed(self, keys: Iterable[Key]) -> list[Scores]:
        """Return the scores of some groups and lengths that were taken away."""
        return [one for key in keys for one in self._removed.get(key, [])]

    def _fold(self, key: Key) -> None:
        if waiting := self._waiting.pop(key, None):
            self._sketches[key].append(sketch_of(np.concatenate(waiting)))
        self._sketches[key] = [merged(self._sketches[key])] if self._sketches[key] else []


@dataclass(frozen=True)
class PValues:
    """What is said of units, all (n,).

    p: (1 + earlier ones at least as high) / (1 + earlier ones), NaN where they are too few. size: how many
    earlier ones. first: whether these were too few, and it is compared with the others of its own night.
    """

    p: NDArray[np.float64]
    size: NDArray[np.int64]
    first: NDArray[np.bool_]


def p_values(units: Scored, past: Past, own: Past | None = None) -> PValues:
    """Return the p-values of a night's units, or of its slices, beside their past.

    own: all of the night that these are part of, by default these. On a first night each is compared with all
    others of the night and what past there is (leave-one-out).
    """
    count = len(units.scores)
    found = PValues(np.full(count, np.nan), np.zeros(count, np.int64), np.zeros(count, np.bool_))
    if own is None:
        own = Past()
        own.add(units)
    before, pooled = _references(past), _references(past, own)
    for key, places in units.by_key():
        scores = units.scores[places]
        if (earlier := before(key)) is not None:
            found.p[places] = (1 + earlier.at_least(scores)) / (1 + earlier.n)
            found.size[places] = earlier.n
        elif (everyone := pooled(key)) is not None:  # itself is one of those that are at least as high
            found.p[places] = everyone.at_least(scores) / everyone.n
            found.size[places] = everyone.n - 1
            found.first[places] = True
    return found


@dataclass(frozen=True)
class Reference:
    """Scores to compare with: a distribution, less some that are in it, ascending."""

    sketch: Sketch
    removed: Scores

    @property
    def n(self) -> int:
        """How many they are."""
        return self.sketch.n - len(self.removed)

    def at_least(self, scores: Scores) -> NDArray[np.int64]:
        """Return how many are at least as high as each score; below the sketch's top at most so many."""
        gone = len(self.removed) - np.searchsorted(self.removed, scores, "left")
        return np.asarray(self.sketch.at_least(scores) - gone, np.int64)


def _references(*parts: Past) -> Callable[[Key], Reference | None]:
    """Return what finds the scores to compare those of a group and length with."""
    classes: defaultdict[str, set[int]] = defaultdict(set)
    for part in parts:
        for group, length in part.known():
            classes[group].add(length)

    def of(group: str, lengths: set[int]) -> Reference:
        keys = [(group, one) for one in sorted(lengths)]
        removed = [one for part in parts for one in part.removed(keys)]
        gone = np.sort(np.concatenate([np.empty(0, np.float32), *removed]))
        return Reference(merged([part.sketch(keys) for part in parts]), gone)

    def reference(key: Key) -> Reference | None:
        group, length = key
        alike = of(group, {length} & classes[group])
        if alike.n < LEAST and length != SLICES:
            alike = of(group, {one for one in classes[group] if one >= length})
        return alike if alike.n >= LEAST else None

    return reference
