"""The configuration of a screening run: frozen, validated once, saved beside the results."""

import hashlib
import hmac
import json
import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from s2sw.schemas.decoding import DECODE_VERSION, DecodeSettings
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.marks import Address, LocalPath, Place, ShownText
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.strict import LARGEST, Count, Strict

EMBEDDED = "embedded"
"""The bundle that comes with the package."""
AUTO, NO_PROFILE, ONLINE = "auto", "none", "online"
"""Words in place of a profile's address: keep one for this archive, use none, or rank by what came before."""
MOST_PARTITIONS = 256


class TileSettings(Strict):
    """Tiles of large images, so that resizing does not hide small defects."""

    size: int = Field(0, ge=0, le=LARGEST, description="side of a tile in pixels of the image; 0: no tiling")
    overlap: int = Field(0, ge=0, le=LARGEST, description="pixels that neighbouring tiles share")
    max_tiles: Count = Field(
        64, description="maximum number of tiles of a slice; larger images get larger tiles"
    )

    @model_validator(mode="after")
    def _overlap_below_size(self) -> "TileSettings":
        if self.size and self.overlap >= self.size:
            raise ValueError(f"overlap ({self.overlap}) must be below size ({self.size})")
        return self


class ClusterSettings(Strict):
    """What the run may use. Unset values fit the machine or cluster found."""

    address: str | None = Field(None, description="address of a running Ray cluster; default: a local Ray")
    allow_without_token: bool = Field(
        False, description="private mode: accept a cluster that requires no token"
    )
    workers: Count | None = Field(None, description="CPU cores of a local Ray; default: all")
    actors: Count | None = Field(
        None,
        description="detector actors; default: one per GPU; without GPUs one per core for weights up to "
        "256 MiB, else one",
    )
    max_actors: Count | None = Field(
        None, description="let the actor pool grow to this many if resources are free"
    )
    gpus_per_actor: float | None = Field(
        None, ge=0, le=LARGEST, description="GPUs per actor; may be a fraction"
    )
    cpus_per_actor: float | None = Field(None, gt=0, description="CPUs reserved for an actor")
    decode_tasks: Count | None = Field(None, description="concurrent decode tasks; default: as many as fit")
    decode_cpus: float = Field(1, gt=0, description="CPUs reserved for a decode task")
    decode_memory: Count = Field(2 << 30, description="bytes reserved for one decode task on a cluster")
    object_store: Count | None = Field(None, description="bytes of the local object store")
    temp_dir: LocalPath | None = Field(None, description="folder for Ray's session and spill files")
    ray_from: Count = Field(
        256,
        description="number of objects from which a local Ray is started; a few processes screen fewer",
    )
    give_up_after: int = Field(
        16,
        ge=0,
        le=LARGEST,
        description="fail the run if this many groups or objects fail before the first succeeds; 0: never",
    )


class PartSettings(Strict):
    """When a part file is closed and committed."""

    rows: Count = Field(
        20_000,
        description="maximum number of slices, and of objects, in a part; a larger object has its own",
    )
    seconds: float = Field(30, gt=0, description="seconds after which finished objects are committed")
    by_date: bool = Field(
        False, description="no effect, for job files of earlier versions: every row has its date"
    )
    site: ShownText = Field(
        "",
        pattern=r"^[a-z0-9-]*$",
        description="value of the column site in every row; an alias, not a person",
    )


class ClassSettings(Strict):
    """Class names of objects, for bundles that need them; the first of rules, folders and name that fits."""

    rules: dict[str, ShownText] = Field(
        {},
        description="patterns of addresses (* is any text) and their class names; the first that fits counts",
    )
    folders: bool = Field(
        False,
        description="take the nearest folder in an object's address that is named like a class of the bundle",
    )
    name: ShownText | None = Field(None, description="class name of all other objects")


class GroupSettings(Strict):
    """Which slices a profile compares with each other, and which objects belong to one case."""

    columns: tuple[Literal["modality", "body_part", "view", "laterality", "plane", "series", "site"], ...] = (
        Field(
            ("modality", "body_part", "plane"),
            description="columns by which slices with a modality are grouped",
        )
    )
    pattern: str | None = Field(
        None,
        description="regular expression for the address of other objects; its group (?P<group>...) names "
        "their kind; default: their folder",
    )
    site: str | None = Field(
        None, description="regular expression for the address; its group (?P<site>...) is the column site"
    )
    case: str | None = Field(
        None,
        description="regular expression for the address; its group (?P<case>...) names the patient, lot or "
        "wafer, whose pictures are not compared with each other; default: DICOM's patient",
    )

    @field_validator("pattern", "site", "case")
    @classmethod
    def _names_its_group(cls, pattern: str | None, info: ValidationInfo) -> str | None:
        name = {"pattern": "group"}.get(str(info.field_name), str(info.field_name))
        try:
            known = re.compile(pattern or f"(?P<{name}>)").groupindex
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if name not in known:
            raise ValueError(f"has no group (?P<{name}>...)")
        return pattern

    @model_validator(mode="after")
    def _site_is_known(self) -> "GroupSettings":
        if ("site" in self.columns) != (self.site is not None):
            raise ValueError("the column site needs the pattern site, and the pattern needs the column")
        return self

    def facts(self) -> dict[str, Any]:
        """Return what groups depend on. A setting of later versions counts only where it is used."""
        return self.model_dump(mode="json", exclude={"site"} if self.site is None else None)


class ResultsConfig(Strict):
    """The settings of commands that read results: output, storage and private folder."""

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
            raise ValueError("its name is not UTF-8, which programs that read Parquet need") from None
        return output


class ScreenConfig(ResultsConfig):
    """All settings of a screening run. ``s2sw screen job.yaml`` reads them from a file with these keys."""

    source: Address = Field(description="folder, file or s3://bucket/prefix to screen")
    manifest: Address | None = Field(
        None,
        description="list of the objects to screen, instead of a listing of the source: CSV, Parquet, or S3 "
        "Inventory's manifest.json, local or on S3; source is then their prefix, by default the bucket",
    )
    bundle: Annotated[str, Place(remote=True, words=frozenset({EMBEDDED}))] = Field(
        EMBEDDED, description="bundle folder, s3://bucket/prefix of one, or: embedded"
    )
    mode: Literal["private", "open"] = Field("private", description="open stores the uri in the results")
    key_per_output: bool = Field(
        False,
        description="make ids with a key for this output only: objects have other ids in other outputs",
    )
    threshold: float = Field(0.5, ge=0, le=1, description="map value from which a pixel is anomalous")
    precision: Literal["auto", "fp32", "bf16", "int8"] = Field(
        "auto", description="auto: bf16 if quicker, or fp32; int8: for CPUs with AVX-512 VNNI"
    )
    attention: Literal["auto", "fused", "by_heads"] = Field(
        "auto",
        description="how CPUs compute attention; auto: in bf16 what a short measurement finds quicker, the "
        "same for a whole run, fused in fp32. Its record says which: name it to repeat scores exactly",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the detector runs")
    batch_size: Count | None = Field(None, description="slices scored at once; default fits the device")
    limit: Count | None = Field(None, description="screen at most this many objects")
    until: ShownText | None = Field(None, description="stop at HH:MM or after a duration (90m, 2h)")
    follow_links: bool = Field(
        False, description="local sources: also screen files outside of the source that links lead to"
    )
    force: bool = Field(False, description="screen again what earlier runs did under the same settings")
    partitions: int | None = Field(
        None, ge=1, le=MOST_PARTITIONS,
        description="processes that write results, each for its share of the objects; default: 1, "
        "from 4 million objects on one for each 4 million, 8 at most",
    )  # fmt: skip
    max_quarantined: float = Field(
        1.0, ge=0, le=1, description="largest share of quarantined objects with which a run succeeds"
    )
    metrics_file: LocalPath | None = Field(
        None, description="local file that metrics are written to, in Prometheus' text format"
    )
    profile: Annotated[str, Place(remote=True, words=frozenset({AUTO, NO_PROFILE, ONLINE}))] = Field(
        AUTO,
        description="folder or s3://bucket/prefix of an archive profile, auto (from 48 objects on), none, or "
        "online: rank each object by those that came before it",
    )
    zero_shot_map: bool = Field(
        False,
        description="with a profile, also keep the zero-shot map of each slice (column zero_shot_map)",
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

    @property
    def online(self) -> bool:
        """Whether each object is ranked by those that came before it, so that the order counts."""
        return self.profile == ONLINE

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
        if config.zero_shot_map:
            parts["zero_shot_map"] = True
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
