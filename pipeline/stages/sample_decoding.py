"""Decode stages of a profile's making: views of sampled slices, and the same with seeded defects."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from s2sw.connectors.storage.stored import StoredObject
from s2sw.model.rarity.seeding import KINDS, Seed, seeded
from s2sw.model.rarity.whole_changes import CHANGES, changed
from s2sw.pipeline.imaging.tiles import boxes_of, in_colour
from s2sw.pipeline.stages.decoding import DecodeStage
from s2sw.pipeline.stages.wire import END
from s2sw.schemas.profile import of_tiles
from s2sw.schemas.tables import Row

EACH = 4
"""Defects of a slice or a tile at most."""
Place = tuple[int, int]
"""A slice of an object and its view: 0 is the whole, all others are tiles."""


def suffix(address: str) -> str:
    """Return what an address's name ends with, by which objects of many slices are told from others."""
    return address.rpartition("/")[2].rpartition(".")[2].lower()


@dataclass(frozen=True)
class SampleDecode(DecodeStage):
    """Decodes the sampled objects; of each as many slices as its kind of file may give, evenly spread.

    slices: suffix to slices of an object, and to tiles of it, where its slices have any. Each view is a row
    of its own, whose slice_index only counts them.
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
        chosen = [kept[place] for place in places] if most > 1 else kept[len(kept) // 2 :][:1]
        tiles = -(-most // max(1, len(chosen)))
        views = [view_of(row, view) for row in chosen for view in (0, *_some_tiles(row["pixels"], tiles))]
        return ({**row, "slice_index": number} for number, row in enumerate(views))


@dataclass(frozen=True)
class SeedDecode(DecodeStage):
    """Decodes groups of two objects and gives views of them with defects; pieces are those of the other.

    chosen: id of an object to places in it, and how many defects each gets, EACH at most. whole: id of an
    object to those of its places that are also changed as a whole, once each. slice_index of a row only
    counts them.
    """

    chosen: Mapping[str, Mapping[Place, int]] = field(default_factory=dict)
    whole: Mapping[str, Collection[Place]] = field(default_factory=dict)

    @override
    def _rows(self, group: int) -> Iterator[Row]:
        found, ends = [], []
        for row in super()._rows(group):
            if row["slice_index"] == END:
                ends.append(row)
            elif any(index == row["slice_index"] for index, _ in self.chosen.get(row["owner"], {})):
                found.append(row)
        for end in ends:
            own = [row for row in found if row["object"] == end["object"]]
            made = [spoilt for row in own for spoilt in self._spoilt(row, found)]
            yield from ({**row, "slice_index": number} for number, row in enumerate(made))
            yield {**end, "n_slices": len(made) if end["reason"] is None else 0}

    def _spoilt(self, row: Row, found: list[Row]) -> Iterator[Row]:
        owner, own = row["owner"], row["slice_index"]
        donor = next((other for other in found if other["owner"] != owner), row)
        for (index, view), count in sorted(self.chosen[owner].items()):
            if index != own or view >= len(row["pixels"]):
                continue
            picture, other = _coloured(row, view), _coloured(donor, min(view, len(donor["pixels"]) - 1))
            where = [*owner.encode(), index, *([view] if view else [])]
            seeds = [_defect(where, place, picture, other) for place in range(count)]
            if (index, view) in self.whole.get(owner, ()):
                seeds.append(_whole_change(where, picture))
            for seed in filter(None, seeds):
                yield {**view_of(row, view), **_seed_row(seed, row, view)}


def _defect(
    where: list[int], place: int, picture: NDArray[np.uint8], other: NDArray[np.uint8]
) -> Seed | None:
    rng = np.random.default_rng([*where, place])
    return seeded(rng, picture, other, KINDS[int(rng.integers(0, len(KINDS)))])


def _whole_change(where: list[int], picture: NDArray[np.uint8]) -> Seed | None:
    rng = np.random.default_rng([*where, EACH])  # no defect has this number
    return changed(rng, picture, list(CHANGES)[int(rng.integers(0, len(CHANGES)))])


def view_of(row: Row, view: int) -> Row:
    """Return the row of one view of a slice, in the groups of whole slices or of tiles."""
    groups = row["groups"] if view == 0 else [of_tiles(name) for name in row["groups"]]
    facts = {"picture": row["slice_index"], "view": view, "tile_count": len(row["tiles"]) // 4}
    return {**row, **facts, "tiles": [], "groups": groups, "pixels": row["pixels"][view : view + 1]}


def _some_tiles(pixels: NDArray[np.uint8], count: int) -> list[int]:
    """Return some of a slice's tiles, by hashes of their pixels: the same ones everywhere."""
    digests = [(hashlib.sha256(pixels[view].tobytes()).digest(), view) for view in range(1, len(pixels))]
    return sorted(view for _, view in sorted(digests)[:count])


def _coloured(row: Row, view: int) -> NDArray[np.uint8]:
    picture: NDArray[np.uint8] = in_colour([row["pixels"][view : view + 1]])[0]
    return picture


def _seed_row(seed: Seed, row: Row, view: int) -> Row:
    left, top, right, bottom = (0, 0, row["cols"], row["rows"])
    if view:
        left, top, right, bottom = boxes_of(row["tiles"])[view - 1]
    area, spacing = float((right - left) * (bottom - top)), row["pixel_spacing"]
    return {
        "pixels": seed.picture[None],
        "seed_size": seed.size,
        "seed_contrast": seed.contrast,
        "seed_pixels": area,
        "seed_mm2": area * spacing[0] * spacing[1] if spacing else None,
    }
