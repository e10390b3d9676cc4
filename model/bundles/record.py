"""bundle.json: what a bundle says about itself, and how it is sealed."""

import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from s2sw.model.bundles.settings import Names, Settings, Text
from s2sw.model.errors import BundleError
from s2sw.model.towers.shapes import Grid, VisionShape
from s2sw.schemas.forms import FAMILIES, INPUT_SIDE
from s2sw.schemas.shown import is_printable

RECORD, WEIGHTS = "bundle.json", "weights.safetensors"

LABELS = frozenset({"clip", "prompts", "trained", "fingerprint", "seal"})
"""Entries that change no result: they are sealed, but not part of the fingerprint."""

RECORD_BYTES = 16 << 20
WEIGHTS_BYTES = 32 << 30
"""Of the files of a bundle at most."""

ENSEMBLE = "ensemble"
"""The detector whose bundle holds others."""
UNLABELLED = {"clip": "", "prompts": "", "trained": True}
"""Stands for the labels that an ensemble does not keep of its members: they change no result."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Spread = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BundleRecord(BaseModel):
    """The content of bundle.json. ``settings`` belong to the detector that the bundle names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    detector: Text
    image_size: int = Field(gt=0, le=INPUT_SIDE, description="side S of the square input, pixels")
    grid: Grid = Field(description="patches along a side, g")
    vision: VisionShape
    mean: tuple[Finite, Finite, Finite] = Field(description="subtracted from channels in 0..1")
    std: tuple[Spread, Spread, Spread] = Field(description="divides the centred channels")
    settings: dict[str, Any]
    family_names: Names = Field(max_length=FAMILIES, description="columns of family_scores")
    weights_sha256: str
    clip: str = Field(description="where the CLIP weights came from: a name or a file's name")
    prompts: str = Field(description="which prompts the class vectors were made from")
    trained: bool = Field(description="False: random weights, for trying the pipeline; scores mean nothing")
    fingerprint: str = Field("", description="SHA-256 over all that changes results")
    seal: str = Field("", description="SHA-256 over this file's other entries")

    @model_validator(mode="after")
    def _fits_together(self) -> "BundleRecord":
        vision, stem = self.vision, self.vision.stem
        for name, tower in (("vision", vision), *([("vision.stem", stem.backbone)] if stem else ())):
            if tower.width % tower.heads:
                raise ValueError(f"{name}.heads: {tower.heads} do not divide the width {tower.width}")
        if stem and (list(stem.taps) != sorted(set(stem.taps)) or stem.taps[-1] > stem.backbone.layers):
            raise ValueError("vision.stem.taps: ascending numbers of existing blocks are needed")
        if self.grid != self.image_size // vision.patch:
            raise ValueError(f"grid: {self.image_size} px are not {self.grid} patches of {vision.patch} px")
        settings = Settings.model_validate(self.settings)
        if settings.deepest() > vision.layers:
            raise ValueError(f"settings: names a block beyond the tower's {vision.layers}")
        for member in settings.members:
            own = member_record(member.record)
            nested = own.detector == ENSEMBLE or "members" in own.settings
            if nested or member.tower >= len(settings.members):
                raise ValueError("settings.members: one is an ensemble, or names a tower that no member has")
        return self

    @property
    def most_numbers(self) -> int:
        """Numbers in the towers' tensors, or a little more."""
        members = self.settings.get("members", ())
        if not members:
            return self.vision.most_numbers
        return sum(member_record(member["record"]).vision.most_numbers for member in members)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names that the bundle has vectors for; empty for a detector that needs none."""
        return tuple(self.settings.get("class_names", ()))

    def sealed(self) -> "BundleRecord":
        """Return the record with its fingerprint and seal filled in."""
        marked = self.model_copy(update={"fingerprint": _digest(self._entries(without=LABELS))})
        return marked.model_copy(update={"seal": _digest(marked._entries(without={"seal"}))})

    def text(self) -> str:
        """Return the one way in which this record is written down."""
        return json.dumps(self._entries(without=set()), indent=2, ensure_ascii=False) + "\n"

    def _entries(self, without: frozenset[str] | set[str]) -> dict[str, Any]:
        entries = self.model_dump(mode="json", exclude=set(without))
        if "vision" in entries and entries["vision"]["stem"] is None:
            del entries["vision"]["stem"]  # plain towers are written as they always were
        return entries


def new_record(**entries: Any) -> BundleRecord:
    """Return a record of these entries, not yet sealed. Raises BundleError that names a wrong one."""
    try:
        return BundleRecord(**entries)
    except ValidationError as error:
        raise BundleError(f"{_first(error)}; build it with other options") from None


def member_record(entries: Mapping[str, Any]) -> BundleRecord:
    """Return the record of a member of an ensemble, whose labels it does not keep."""
    return BundleRecord(**{**entries, **UNLABELLED})


def _first(error: ValidationError) -> str:
    """Return the first problem in one line: where, and what is needed there."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    what = first["msg"].removeprefix("Value error, ").partition("\n")[0]
    return f"{where}: {what}" if where else what


def _digest(entries: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_record(folder: Path, *, check_weights: bool = True) -> BundleRecord:
    """Read and verify a bundle's record; a missing file or a changed byte raises BundleError."""
    path = folder / RECORD
    record, text = _parsed(path)
    if not is_printable(record.model_dump(mode="json")):
        raise BundleError(f"{path}: holds control characters; build the bundle again")
    if record.sealed() != record or record.text() != text:
        raise BundleError(f"{path}: changed after it was built (its seal differs); build it again")
    weights = folder / WEIGHTS
    _check_file(weights, WEIGHTS_BYTES, "copy the whole folder or build the bundle again")
    if check_weights and file_sha256(weights) != record.weights_sha256:
        raise BundleError(f"{weights}: changed after the bundle was built (SHA-256 differs); build it again")
    return record


def _parsed(path: Path) -> tuple[BundleRecord, str]:
    _check_file(path, RECORD_BYTES, "give a folder made by build_bundle")
    try:
        text = path.read_text(encoding="utf-8")
        return BundleRecord.model_validate_json(text), text
    except (ValidationError, UnicodeDecodeError, RecursionError) as error:
        what = _first(error) if isinstance(error, ValidationError) else "is no JSON text"
        raise BundleError(f"{path}: {what}; build the bundle again") from None


def _check_file(path: Path, most: int, advice: str) -> None:
    """Raise BundleError unless this is a regular file of a size that a bundle's can have."""
    try:
        status = path.stat()
    except OSError:
        raise BundleError(f"{path.parent}: no {path.name} in it; {advice}") from None
    if not stat.S_ISREG(status.st_mode):
        raise BundleError(f"{path.parent}: no {path.name} in it; {advice}")
    if status.st_size > most:
        raise BundleError(f"{path}: has more than {most >> 20} MiB; build the bundle again")
