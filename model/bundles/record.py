"""bundle.json: what a bundle says about itself, and how it is sealed."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from s2sw.model.errors import BundleError
from s2sw.model.towers.shapes import VisionShape
from s2sw.schemas.shown import is_printable

RECORD, WEIGHTS = "bundle.json", "weights.safetensors"

LABELS = frozenset({"clip", "prompts", "trained", "fingerprint", "seal"})
"""Entries that change no result: they are sealed, but not part of the fingerprint."""

Positive = Annotated[int, Field(gt=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Spread = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BundleRecord(BaseModel):
    """The content of bundle.json. ``settings`` belong to the detector that the bundle names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    detector: str
    image_size: Positive = Field(description="side S of the square input, pixels")
    grid: Positive = Field(description="patches along a side, g")
    vision: VisionShape
    mean: tuple[Finite, Finite, Finite] = Field(description="subtracted from channels in 0..1")
    std: tuple[Spread, Spread, Spread] = Field(description="divides the centred channels")
    settings: dict[str, Any]
    family_names: tuple[str, ...] = Field(description="columns of family_scores")
    weights_sha256: str
    clip: str = Field(description="where the CLIP weights came from: a name or a file's name")
    prompts: str = Field(description="which prompts the class vectors were made from")
    trained: bool = Field(description="False: random weights, for trying the pipeline; scores mean nothing")
    fingerprint: str = Field("", description="SHA-256 over all that changes results")
    seal: str = Field("", description="SHA-256 over this file's other entries")

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


def _digest(entries: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entries, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_record(folder: Path, *, check_weights: bool = True) -> BundleRecord:
    """Read and verify a bundle's record; a missing file or a changed byte raises BundleError."""
    path = folder / RECORD
    try:
        text = path.read_text(encoding="utf-8")
        record = BundleRecord.model_validate_json(text)
    except FileNotFoundError:
        raise BundleError(f"{folder}: no {RECORD} in it; give a folder made by build_bundle") from None
    except (ValidationError, UnicodeDecodeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BundleError(f"{path}: {where}: {first['msg']}; build the bundle again") from error
    if not is_printable(record.model_dump(mode="json")):
        raise BundleError(f"{path}: holds characters that a terminal obeys; build the bundle again")
    if record.sealed() != record or record.text() != text:
        raise BundleError(f"{path}: changed after it was built (its seal differs); build it again")
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise BundleError(f"{folder}: no {WEIGHTS} in it; copy the whole folder or build the bundle again")
    if check_weights and file_sha256(weights) != record.weights_sha256:
        raise BundleError(f"{weights}: changed after the bundle was built (SHA-256 differs); build it again")
    return record
