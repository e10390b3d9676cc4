"""What an archive profile says of itself, ``profile.json``: groups, what is usual in them, checksums."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Container, Iterable
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError, model_validator

from s2sw.schemas.config import GroupSettings, TileSettings
from s2sw.schemas.layout import BANK, GROUPS_FOLDER
from s2sw.schemas.strict import LARGEST, Strict

PROFILE_VERSION = 4
"""Raised when an older program could no longer use a profile as it is meant."""
LEAST_PICTURES = 24
"""Pictures of a group; a smaller one falls back to its parent."""
AUTO_FROM = 48
"""Objects from which ``profile: auto`` makes a profile."""

MOST_LIMITS = 100
"""Cells of the table of seeded defects."""
MOST_PICTURES = 256
"""Pictures of a bank."""
MOST_TAPS, MOST_NUMBERS = 2, 128
"""Of a bank: taps, and numbers of a patch."""
MOST_GROUPS = 10_000
TILES = "tiles"
"""Last part of the name of a group of tiles; no code of a tag and no plane has this name."""
WIDEST = 8192
"""Numbers of a detector's patch before they are projected."""
HEADER_BYTES, PICTURE_HEADER_BYTES = 1 << 16, 1 << 10
"""Of a bank's file: its header, and what that says of each picture."""
FARTHEST, FINEST = 1e9, 1e-7
"""Of offsets and scales: four lines, one after another, stay finite in float32."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
BANK_PATTERN = r"^groups/[a-z2-7]{26}\.safetensors$"


def of_tiles(name: str) -> str:
    """Return the name of the group of the tiles of a group's slices."""
    return f"{name}/{TILES}"


class BankFile(NamedTuple):
    """A bank's file: its name, which is made of its content, and its SHA-256."""

    name: str
    sha256: str


def bank_file(data: bytes) -> BankFile:
    """Return name and SHA-256 of the file of a bank."""
    digest = hashlib.sha256(data)
    name = base64.b32encode(digest.digest()).decode().lower()[:26]
    return BankFile(f"{GROUPS_FOLDER}/{name}{BANK}", digest.hexdigest())


def is_bank(name: str) -> bool:
    """Tell whether this is the name of a bank's file."""
    return re.fullmatch(BANK_PATTERN, name) is not None


ONLINE_VERSION = 1
"""Raised when ``model.rarity.online`` computes something else: results have another fingerprint then."""


class LineRecord(Strict):
    """A number in other units: (value - offset) / scale."""

    offset: float = Field(ge=-FARTHEST, le=FARTHEST)
    scale: float = Field(ge=FINEST, le=FARTHEST)


class LimitRecord(Strict):
    """Seeded defects up to a size (share of the picture) and contrast (0..1), and those found.

    whole: changes of the whole picture, not defects in a place of it.
    """

    size: float
    contrast: float
    seeds: int = Field(ge=0, le=LARGEST)
    found: int = Field(ge=0)
    whole: bool = False

    @model_validator(mode="after")
    def _no_more_found_than_seeded(self) -> "LimitRecord":
        if self.found > self.seeds:
            raise ValueError("more found than seeded")
        return self


class ExtentRecord(Strict):
    """Side of a square as large as the middle one of pictures: pixels as stored, and mm where all say it."""

    pixels: float = Field(gt=0, le=FARTHEST)
    mm: float | None = Field(None, gt=0, le=FARTHEST)


class GroupRecord(Strict):
    """One group of pictures.

    name: as in the column ``group``. label: what it stands for, in open mode only. file, sha256: of its bank.
    pictures, objects: in the bank. resemblance: distances between pictures over those inside them.
    weight: of rarity, 0..1. taps, patches, token, picture, score: what is usual (``model.rarity``); rank,
    map: what lies at one half. limits: what was found of seeded defects at the weight; extent: of the
    pictures that they were seeded in. tiles: that a slice has, in the middle, in a group of tiles; 0 in one
    of whole slices. founding: whether the profile's fingerprint is made of it, too.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_/ .-]{1,200}$")
    label: str = ""
    file: str = Field(pattern=BANK_PATTERN)
    sha256: Sha256
    pictures: int = Field(gt=0, le=MOST_PICTURES)
    objects: int = Field(gt=0, le=MOST_PICTURES)
    resemblance: float = Field(ge=0)
    weight: float = Field(ge=0, le=1)
    taps: tuple[LineRecord, ...] = Field(min_length=1, max_length=MOST_TAPS)
    patches: LineRecord
    token: LineRecord
    picture: LineRecord
    score: LineRecord
    rank: LineRecord
    map: LineRecord
    limits: tuple[LimitRecord, ...] = Field((), max_length=MOST_LIMITS)
    extent: ExtentRecord | None = None
    tiles: int = Field(0, ge=0, le=LARGEST)
    founding: bool = True
    built: str = ""

    def most_bytes(self, patches: int) -> int:
        """Return how large the bank's file can be where a picture has so many patches."""
        picture = patches * (MOST_TAPS * MOST_NUMBERS + 4) + 4 * (WIDEST + 1) + PICTURE_HEADER_BYTES
        return self.pictures * picture + 4 * MOST_TAPS * WIDEST * MOST_NUMBERS + HEADER_BYTES


class ProfileRecord(Strict):
    """What ``profile.json`` holds.

    fingerprint: of what the profile was made for and of the groups that it was made with. Groups may be
    added, and one that changes gives another fingerprint, so that rows of one stay comparable. key_id: of the
    key of its ids, "" in open mode. anonymous: its pictures have no ids. tiles: into which slices were cut
    for groups of tiles. listed: objects of the archive when it was last looked at. updated: when later
    pictures last entered, "" for never.
    """

    version: int = PROFILE_VERSION
    fingerprint: str = Field("", pattern=r"^([0-9a-f]{32})?$")
    detector: str
    bundle: str
    precision: str
    decode: Sha256
    key_id: str
    anonymous: bool = False
    settings: GroupSettings
    tiles: TileSettings = TileSettings()
    created: str
    updated: str = ""
    listed: int = Field(ge=0)
    groups: tuple[GroupRecord, ...] = Field((), max_length=MOST_GROUPS)

    def group(self, name: str) -> GroupRecord | None:
        """Return the group of a name."""
        return next((group for group in self.groups if group.name == name), None)

    def with_groups(self, made: Iterable[GroupRecord], gone: Container[str] = ()) -> "ProfileRecord":
        """Return the record with groups added or exchanged, and those named in ``gone`` left out.

        Groups that are only added to others leave the fingerprint as it is.
        """
        new = {group.name: group for group in made}
        kept = [group for group in self.groups if group.name not in new and group.name not in gone]
        added = len(kept) == len(self.groups) > 0
        groups = [*kept, *(group.model_copy(update={"founding": not added}) for group in new.values())]
        if added:
            return self.model_copy(update={"groups": tuple(groups)})
        founding = (group.model_copy(update={"founding": True}) for group in groups)
        return self.model_copy(update={"groups": tuple(founding)}).named()

    def named(self) -> "ProfileRecord":
        """Return the record of a new profile with its fingerprint."""
        return self.model_copy(update={"fingerprint": self._expected_fingerprint()})

    def _expected_fingerprint(self) -> str:
        facts = {name: getattr(self, name) for name in ("version", "bundle", "decode", "key_id")}
        facts |= {"anonymous": True} if self.anonymous else {}
        facts |= {name: getattr(self, name).model_dump(mode="json") for name in ("settings", "tiles")}
        facts["groups"] = [
            group.model_dump(mode="json", exclude={"built", "label"})
            for group in self.groups
            if group.founding
        ]
        return _digest(facts)[:32]


def profile_bytes(record: ProfileRecord, key: bytes | None = None) -> bytes:
    """Return a profile's record as it is written, with its checksum, and the seal of a key where given."""
    document = record.model_dump(mode="json")
    whole = {"profile": document, "sha256": _digest(document)}
    whole |= {"seal": _seal(document, key)} if key else {}
    return json.dumps(whole, indent=2, sort_keys=True).encode()


def is_sealed(data: bytes, key: bytes) -> bool:
    """Tell whether these bytes of a profile, which ``parse_profile`` reads, have the seal of this key."""
    whole = json.loads(data)
    return hmac.compare_digest(str(whole.get("seal")).encode(), _seal(whole["profile"], key).encode())


def parse_profile(data: bytes) -> ProfileRecord:
    """Return the record that these bytes hold. Raises ValueError that says what is wrong and what to do."""
    try:
        document = json.loads(data)
        found, checksum = document["profile"], document["sha256"]
        version = found["version"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("is damaged, or no profile; build it again") from None
    if version != PROFILE_VERSION:
        raise ValueError(
            f"is of version {str(version)[:20]}, this program reads {PROFILE_VERSION}: use the one that "
            "made it, or build it again"
        )
    try:
        record = ProfileRecord.model_validate(found)
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ValueError(f"is damaged at '{key}'; build it again") from None
    if checksum != _digest(found) or record.fingerprint != record.named().fingerprint:
        raise ValueError("was changed since it was built; build it again")
    return record


def _digest(document: Any) -> str:
    return hashlib.sha256(_text(document)).hexdigest()


def _seal(document: Any, key: bytes) -> str:
    return hmac.digest(key, _text(document), "sha256").hex()


def _text(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True).encode()
