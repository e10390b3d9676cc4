"""Which profile a run uses: a named one, this archive's own, or none."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from s2sw.connectors.storage.s3 import is_s3
from s2sw.model.bundles.record import BundleRecord
from s2sw.pipeline.privacy.ids import check_private_folder, key_id
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.profile.folder import ProfileError, ProfileFolder
from s2sw.pipeline.profile.place import ProfilePlace
from s2sw.schemas.config import AUTO, NO_PROFILE, ONLINE, GroupSettings, ScreenConfig
from s2sw.schemas.decoding import DECODE_VERSION
from s2sw.schemas.profile import AUTO_FROM, ProfileRecord

OTHER_KEY = "has ids of another key, or of the other mode"


def decode_digest(config: ScreenConfig) -> str:
    """Return the SHA-256 of what pixels depend on."""
    facts = [DECODE_VERSION, config.decode.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def new_record(
    config: ScreenConfig, bundle: BundleRecord, key: bytes | None, precision: str
) -> ProfileRecord:
    """Return the record of a profile without groups."""
    return ProfileRecord(
        detector=bundle.detector,
        bundle=bundle.fingerprint,
        precision=precision,
        decode=decode_digest(config),
        key_id=key_id(key) if key else "",
        settings=config.groups,
        tiles=config.tiles,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        listed=0,
    )


def own_address(config: ScreenConfig, bundle: BundleRecord, inside: Inside, key: bytes | None) -> str:
    """Return where a run keeps the profile of its archive: in the private folder, by what it is made for."""
    source = config.source.rstrip("/") if is_s3(config.source) else str(Path(config.source).resolve())
    tiles = (config.tiles.model_dump(mode="json"),) if config.tiles.size else ()
    facts: Sequence[object] = (
        *tiles,
        source,
        bundle.fingerprint,
        decode_digest(config),
        config.groups.facts(),
        key_id(key) if key else "",
    )
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{inside.address}/profiles/{name[:16]}"


def needs_building(config: ScreenConfig, profile: ProfilePlace | None, listed: int, to_do: int) -> bool:
    """Tell whether to build what is missing of an archive's own profile before anything is screened.

    listed, to_do: objects in all, and those not done. Not for results that were made without a profile: all
    of them would be made again. Groups are looked for again once the archive has doubled.
    """
    if config.profile != AUTO or not to_do:
        return False
    if profile:
        return listed >= 2 * profile.record.listed
    return listed >= AUTO_FROM > listed - to_do


def existing_profile(
    config: ScreenConfig, bundle: BundleRecord, inside: Inside, key: bytes | None
) -> ProfilePlace | None:
    """Return the profile that there is for a run, checked; None where it uses none, or has none yet.

    Raises ProfileError, and UserError for one that does not fit the run.
    """
    if config.profile in (NO_PROFILE, ONLINE):
        return None
    own = config.profile == AUTO
    address = own_address(config, bundle, inside, key) if own else config.profile
    folder = ProfileFolder(address, config.storage, key)
    lacks_key = config.private and key is None
    if own and (lacks_key or not folder.exists()):
        return None
    if not is_s3(address):
        check_private_folder(Path(address), "profile")
    # a bucket has no owner: there the seal says who made it
    record = folder.read(sealed=config.private and is_s3(address))
    problem = OTHER_KEY if lacks_key else _misfit(record, config, bundle, key)
    if problem:
        raise ProfileError(f"profile: {address} {problem}; build one with `s2sw profile build`")
    for group in record.groups:
        folder.read_bank(group, bundle.grid**2)  # whose checksum and header are compared
    return ProfilePlace(address, config.storage, record)


def _misfit(
    record: ProfileRecord, config: ScreenConfig, bundle: BundleRecord, key: bytes | None
) -> str | None:
    if record.bundle != bundle.fingerprint:
        return f"was made with another detector ({record.detector}, {record.bundle[:8]})"
    if record.decode != decode_digest(config):
        return "was made with other settings of decoding"
    if not record.anonymous and record.key_id != (key_id(key) if key else ""):
        return OTHER_KEY
    if config.groups not in (GroupSettings(), record.settings):
        return "was made with other groups"
    if config.tiles.size and config.tiles != record.tiles:
        return f"was made with {'other' if record.tiles.size else 'no'} tiles"
    return None
