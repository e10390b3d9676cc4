"""The configuration of a screening run: frozen, checked once at the door, saved beside the results."""

import hashlib
import hmac
import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from s2sw.schemas.decoding import DECODE_VERSION, DecodeSettings
from s2sw.schemas.marks import Address, LocalPath, Place, ShownText
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.strict import LARGEST, Count, Strict

EMBEDDED = "embedded"
"""The bundle that comes with the package."""


AUTO, NO_PROFILE = "auto", "none"
"""Words in place of a profile's address: keep one for this archive, or use none."""


class TileSettings(Strict):
    """Cutting of large images, so that small defects are not squashed away."""

    size: int = Field(0, ge=0, le=LARGEST, description="side of a tile in pixels of the image; 0: no tiling")
    overlap: int = Field(0, ge=0, le=LARGEST, description="pixels that neighbouring tiles share")
    max_tiles: Count = Field(64, description="tiles of one slice at most; above, tiles grow to fit")

    @model_validator(mode="after")
    def _overlap_below_size(self) -> "TileSettings":
        if self.size and self.overlap >= self.size:
            raise ValueError(f"overlap ({self.overlap}) must be below size ({self.size})")
        return self


class ClusterSettings(Strict):
    """What the run may use. Unset values fit the machine or cluster found."""

    address: str | None = Field(None, description="address of a running Ray cluster; default: a local Ray")
    allow_without_token: bool = Field(
        False, description="private mode: work on a cluster that asks nobody for a token"
    )
    workers: Count | None = Field(None, description="CPU cores of a local Ray; default: all")
    actors: Count | None = Field(None, description="detector actors; default: one a GPU, or one without GPUs")
    max_actors: Count | None = Field(None, description="grow the actor pool up to this many where free")
    gpus_per_actor: float | None = Field(
        None, ge=0, le=LARGEST, description="GPUs of an actor, fractions allowed"
    )
    cpus_per_actor: float | None = Field(None, gt=0, description="CPUs reserved for an actor")
    decode_tasks: Count | None = Field(None, description="decode tasks at once; default: as many as fit")
    decode_cpus: float = Field(1, gt=0, description="CPUs reserved for a decode task")
    decode_memory: Count = Field(2 << 30, description="bytes reserved for one decode task on a cluster")
    object_store: Count | None = Field(None, description="bytes of the local object store")
    temp_dir: LocalPath | None = Field(None, description="folder for Ray's session and spill files")
    ray_from: Count = Field(
        256,
        description="objects from which a Ray is started on this machine; below, a few processes screen them",
    )
    give_up_after: int = Field(
        16,
        ge=0,
        le=LARGEST,
        description="end the run when so many groups or objects fail before any lives; 0: never",
    )


class PartSettings(Strict):
    """When a part file is closed and committed."""

    rows: Count = Field(
        20_000, description="slices, and objects, in a part at most; an object of more slices has its own"
    )
    seconds: float = Field(30, gt=0, description="age at which finished objects are committed")
    by_date: bool = Field(False, description="of earlier versions, without effect: every row has its date")
    site: ShownText = Field(
        "",
        pattern=r"^[a-z0-9-]*$",
        description="what the column site says in every row; an alias, not a person",
    )


class ClassSettings(Strict):
    """What an object shows, for bundles with class names; of rules, folders and name the first that fits."""

    rules: dict[str, ShownText] = Field(
        {}, description="pattern of an object's address (* is any text) to its class name, in this order"
    )
    folders: bool = Field(
        False,
        description="the nearest folder of an object's address that is named like a class of the bundle",
    )
    name: ShownText | None = Field(None, description="class name of all other objects")


class GroupSettings(Strict):
    """Which objects a profile takes for pictures of one kind, and which of them are of one case."""

    columns: tuple[Literal["modality", "body_part", "plane"], ...] = Field(
        ("modality", "body_part", "plane"),
        description="columns whose values make a group of slices that have a modality",
    )
    pattern: str | None = Field(
        None,
        description="regular expression over the address of other objects; its group (?P<group>...) names "
        "their kind; default: their folder",
    )
    case: str | None = Field(
        None,
        description="regular expression over the address; its group (?P<case>...) names the patient, lot or "
        "wafer, whose pictures do not vouch for each other; default: DICOM's patient",
    )

    @field_validator("pattern", "case")
    @classmethod
    def _names_its_group(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        name = {"pattern": "group"}.get(str(info.field_name), "case")
        try:
            known = re.compile(pattern or f"(?P<{name}>)").groupindex
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        if name not in known:
            raise ValueError(f"has no group (?P<{name}>...)")
        return pattern


class FlagGroup(Strict):
    """A flagging threshold for some slices. site, modality: None for any."""

    site: ShownText | None = Field(None, description="a value of the column site")
    modality: ShownText | None = Field(None, description="a code of the column modality")
    threshold: float = Field(ge=0, le=1, description="score from which such a slice is flagged")


class FlagSettings(Strict):
    """Which slices are flagged for review: no part of a fingerprint, for it changes no row of the results."""

    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="score (rank score, else image score) from which a slice is flagged; default: none is",
    )
    groups: tuple[FlagGroup, ...] = Field(
        (), description="thresholds of some sites and modalities; the first that fits a slice counts"
    )
    fdr: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="write a worklist after the run: as many objects as fit this share of false alarms",
    )
    budget: Count | None = Field(
        None, description="write a worklist after the run: the best so many objects; fdr or budget, not both"
    )

    @model_validator(mode="after")
    def _one_size(self) -> "FlagSettings":
        if self.fdr is not None and self.budget is not None:
            raise ValueError("fdr and budget: name one of them, each says how long the worklist is")
        return self

    @property
    def has_threshold(self) -> bool:
        """Whether slices are flagged by a threshold."""
        return self.threshold is not None or bool(self.groups)

    @property
    def lists(self) -> bool:
        """Whether a worklist is asked for."""
        return self.fdr is not None or self.budget is not None


class ResultsConfig(Strict):
    """What commands that read results are told: where these lie, how that is reached, and what names them."""

    source: Address | None = Field(None, description="folder, file or s3://bucket/prefix that was screened")
    output: Address = Field(description="folder or s3://bucket/prefix for the results")
    private_dir: Address | None = Field(
        None,
        description="folder or s3:// prefix for the id key and the crosswalk id -> uri; default: ~/.s2sw",
    )
    storage: StorageSettings = StorageSettings()

    @field_validator("output")
    @classmethod
    def _utf_8(cls, output: str) -> str:
        try:
            output.encode()
        except UnicodeEncodeError:
            raise ValueError("its name is no UTF-8, and programs that read Parquet need that") from None
        return output


class ScreenConfig(ResultsConfig):
    """Everything a screening run is told. ``s2sw screen job.yaml`` reads it from a file with these keys."""

    source: Address = Field(description="folder, file or s3://bucket/prefix to screen")
    manifest: Address | None = Field(
        None,
        description="list of the objects to screen, instead of a listing: CSV, Parquet, or S3 Inventory's "
        "manifest.json, local or on S3; source is then what all of them lie below, by default the bucket",
    )
    bundle: Annotated[str, Place(remote=True, words=frozenset({EMBEDDED}))] = Field(
        EMBEDDED, description="bundle folder, s3://bucket/prefix of one, or: embedded"
    )
    mode: Literal["private", "open"] = Field("private", description="open keeps the uri in the results")
    key_per_output: bool = Field(
        False,
        description="make ids with a key of the output's own: an object has other ids in other outputs",
    )
    threshold: float = Field(0.5, ge=0, le=1, description="map value from which a pixel is anomalous")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 on a GPU, else fp32")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the detector runs")
    batch_size: Count | None = Field(None, description="slices scored at once; default fits the device")
    limit: Count | None = Field(None, description="screen at most this many objects")
    until: ShownText | None = Field(None, description="stop admitting at HH:MM or after a duration (90m, 2h)")
    follow_links: bool = Field(
        False, description="local sources: screen files, too, that links lead to outside of the source"
    )
    force: bool = Field(False, description="screen again what is done under the same settings")
    max_quarantined: float = Field(
        1.0, ge=0, le=1, description="share of quarantined objects that is still a success"
    )
    metrics_file: LocalPath | None = Field(
        None, description="local file kept up to date with figures in Prometheus' text format"
    )
    profile: Annotated[str, Place(remote=True, words=frozenset({AUTO, NO_PROFILE}))] = Field(
        AUTO,
        description="folder or s3://bucket/prefix of an archive profile, auto (from 48 objects on), or none",
    )
    groups: GroupSettings = GroupSettings()
    classes: ClassSettings = ClassSettings()
    flag: FlagSettings = FlagSettings()
    tiles: TileSettings = TileSettings()
    decode: DecodeSettings = DecodeSettings()
    cluster: ClusterSettings = ClusterSettings()
    parts: PartSettings = PartSettings()

    @property
    def private(self) -> bool:
        """Whether results keep addresses out."""
        return self.mode == "private"

    @model_validator(mode="before")
    @classmethod
    def _source_of_a_manifest(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("manifest") and not values.get("source"):
            return {**values, "source": ""}  # the manifest says it
        return values

    @field_validator("metrics_file")
    @classmethod
    def _local(cls, path: str | None) -> str | None:
        if path is not None and ("://" in path or not path.strip()):
            raise ValueError("must be a local path; collectors read it from this machine")
        return path


def config_hash(config: ScreenConfig, key: bytes | None = None) -> str:
    """Return a digest of the whole configuration, defaults included, as 64 hex digits.

    key: the id key of private mode, for an HMAC-SHA256, since a plain SHA-256 lets the source be guessed.
    """
    text = json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()
    if key is None:
        return hashlib.sha256(text).hexdigest()
    own = hmac.digest(key, b"configuration", "sha256")  # a key of its own domain
    return hmac.digest(own, text, "sha256").hex()


def run_fingerprint(
    config: ScreenConfig, bundle_fingerprint: str, precision: str, profile: str | None = None
) -> str:
    """Return what results depend on, as 32 hex digits. profile: the fingerprint of the profile in use.

    Two runs with the same fingerprint give the same rows for the same object, so the second may skip
    what the first has done.
    """
    parts: dict[str, Any] = {
        "bundle": bundle_fingerprint,
        "precision": precision,
        "threshold": config.threshold,
        "tiles": config.tiles.model_dump(),
        "decode": config.decode.model_dump(),
        "decode_version": DECODE_VERSION,
    }
    if config.classes != ClassSettings():
        # the order of the rules decides, so they are a list here
        parts["classes"] = config.classes.model_dump() | {"rules": list(config.classes.rules.items())}
    if profile is not None:
        parts["profile"] = profile
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
