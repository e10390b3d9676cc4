"""Pictures of an open profile's banks, found again in their source: a profile holds no address of any."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
from PIL import Image

from s2sw.connectors.decode import decode
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.imaging.encoding import jpeg_bytes
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.source import listing
from s2sw.pipeline.pages.overlaid import data_uri
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.pipeline.profile.banks import GroupBank, read_bank
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.profile.typical import by_rarity
from s2sw.pipeline.reports.profile_page import Looks, Shown
from s2sw.pipeline.results.sources import read_payload
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.outcomes import ScreeningError
from s2sw.schemas.profile import ProfileRecord

SHOWN = 8
"""Pictures of a kind for each group."""
SIDE = 320


def looks_of(
    folder: ProfileFolder, record: ProfileRecord, config: ScreenConfig, patches: int
) -> dict[str, Looks]:
    """Return pictures of each group that lie in the source of the configuration, most and least typical.

    patches: of a picture, as the detector has them. Raises ProfileError, and ScreeningError where the source
    cannot be listed.
    """
    chosen = {}
    for group in record.groups:
        kept = read_bank(folder, group, patches)
        chosen[group.name] = _named(kept, by_rarity(group, kept))
    owners = {owner for pictures in chosen.values() for _, owner, _ in pictures}
    found = _found(config, owners)
    return {name: _looks(pictures, found, config) for name, pictures in chosen.items()}


def _named(kept: GroupBank, ordered: list[tuple[float, int]]) -> list[tuple[float, str, int]]:
    ends = ordered if len(ordered) <= 2 * SHOWN else [*ordered[:SHOWN], *ordered[-SHOWN:]]
    return [(rarity, kept.owners[row], kept.slices[row]) for rarity, row in ends]


def _found(config: ScreenConfig, owners: set[str]) -> dict[str, StoredObject]:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config={"threads": 1}) as connection:
        manifest = Path(folder, "manifest.parquet")
        freeze(listing(config, Counter()), object_ids(None), manifest)
        query = "SELECT * FROM read_parquet(?) WHERE list_contains(?, object_id)"
        rows = connection.sql(query, params=[str(manifest), sorted(owners)]).to_arrow_table().to_pylist()
    return {row.pop("object_id"): StoredObject(**row) for row in rows}


def _looks(
    pictures: list[tuple[float, str, int]], found: dict[str, StoredObject], config: ScreenConfig
) -> Looks:
    half = len(pictures) // 2
    ends = pictures[:half], pictures[half:][::-1]
    return Looks(*([*_shown(end, found, config)] for end in ends))


def _shown(
    pictures: list[tuple[float, str, int]], found: dict[str, StoredObject], config: ScreenConfig
) -> Iterator[Shown]:
    for rarity, owner, index in pictures:
        picture = _picture(found[owner], index, config) if owner in found else None
        if picture is not None:
            yield Shown(data_uri("jpeg", jpeg_bytes(picture)), owner, rarity)


def _picture(stored: StoredObject, index: int, config: ScreenConfig) -> Image.Image | None:
    """Return a slice, shrunk; None where it cannot be read any more."""
    try:
        payload = read_payload(stored, config.storage, config.decode)
        _, slices = decode(payload.data, config.decode, companion=payload.companion)
        pixels = next((one.pixels for place, one in enumerate(slices) if place == index), None)
    except ScreeningError:
        return None
    if pixels is None:
        return None
    picture = Image.fromarray(pixels).convert("RGB")
    picture.thumbnail((SIDE, SIDE))
    return picture
