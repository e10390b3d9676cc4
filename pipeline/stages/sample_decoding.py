"""Decode stages of a profile's making: slices of sampled objects, and the same with seeded defects."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from typing_extensions import override

from s2sw.connectors.storage.stored import StoredObject
from s2sw.model.rarity.seeding import KINDS, Seed, seeded
from s2sw.pipeline.imaging.tiles import in_colour
from s2sw.pipeline.stages.decoding import DecodeStage
from s2sw.pipeline.stages.wire import END
from s2sw.schemas.tables import Row

EACH = 4
"""Defects of a slice at most."""


def suffix(address: str) -> str:
    """Return what an address's name ends with, by which objects of many slices are told from others."""
    return address.rpartition("/")[2].rpartition(".")[2].lower()


@dataclass(frozen=True)
class SampleDecode(DecodeStage):
    """Decodes the sampled objects; of each as many slices as its kind of file may give, evenly spread.

    slices: suffix to slices of an object.
    """

    slices: Mapping[str, int] = field(default_factory=dict)

    @override
    def _kept(self, rows: Iterator[Row], stored: StoredObject) -> Iterator[Row]:
        most, kept, step = self.slices.get(suffix(stored.address), 1), [], 1
        for row in rows:  # how many come is not known: what is held is thinned as it grows
            if row["slice_index"] % step == 0:
                kept.append(row)
            if len(kept) > 2 * most:
                step *= 2
                kept = [one for one in kept if one["slice_index"] % step == 0]
        places = np.linspace(0, len(kept) - 1, min(most, len(kept))).round().astype(int)
        return iter([kept[place] for place in places] if most > 1 else kept[len(kept) // 2 :][:1])


@dataclass(frozen=True)
class SeedDecode(DecodeStage):
    """Decodes groups of two objects and gives slices of them with defects; pieces are those of the other.

    chosen: id of an object to its slices, and how many defects each gets, EACH at most. slice_index of a row
    is EACH times the slice's, plus the number of the defect.
    """

    chosen: Mapping[str, Mapping[int, int]] = field(default_factory=dict)

    @override
    def _rows(self, group: int) -> Iterator[Row]:
        found, ends = [], []
        for row in super()._rows(group):
            if row["slice_index"] == END:
                ends.append(row)
            elif row["slice_index"] in self.chosen.get(row["owner"], {}):
                found.append(row)
        for end in ends:
            own = [row for row in found if row["object"] == end["object"]]
            made = [spoilt for row in own for spoilt in self._spoilt(row, found)]
            yield from made
            yield {**end, "n_slices": len(made) if end["reason"] is None else 0}

    def _spoilt(self, row: Row, found: list[Row]) -> Iterator[Row]:
        owner, index = row["owner"], row["slice_index"]
        donor = next((other for other in found if other["owner"] != owner), row)
        picture, other = (in_colour([one["pixels"]])[0] for one in (row, donor))
        for place in range(self.chosen[owner][index]):
            rng = np.random.default_rng([*owner.encode(), index, place])
            seed = seeded(rng, picture, other, KINDS[int(rng.integers(0, len(KINDS)))])
            if seed is not None:
                yield {**row, "slice_index": EACH * index + place, **_seed_row(seed)}


def _seed_row(seed: Seed) -> Row:
    return {"pixels": seed.picture[None], "seed_size": seed.size, "seed_contrast": seed.contrast}
