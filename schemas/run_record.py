"""The record of a run, ``runs/RUN.json``: its summary, configuration and versions."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, model_validator

from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.marks import without_addresses
from s2sw.schemas.outcomes import Status
from s2sw.schemas.shown import is_printable

OPEN = "open"

Section = TypeVar("Section", bound=BaseModel)


@dataclass
class RunSummary:
    """The outcome of one run.

    listed and by_status count the whole listing under this fingerprint; listed is the sum of by_status. new
    counts what this run finished, already_done what earlier runs had finished. missing counts ids without a
    status, duplicates rows beyond the first of an id: both must be 0. seconds are by phase; stage_seconds are
    summed over processes. views are slices and tiles scored. timeline holds (seconds since screening began,
    objects, slices) at growing intervals. max_quarantined is the configured share of listed objects. key_id
    names the key of the ids in private mode and reveals nothing of it. left_out counts files of ours in the
    source, which are not listed. profile: fingerprint and number of groups of the profile. partitions: of a
    run with several writers, objects to do, finished by the run and left of each, and how it was written.
    """

    run_id: str
    fingerprint: str
    bundle: dict[str, Any]
    started: str
    key_id: str = ""
    finished: str = ""
    outcome: str = "running"
    listed: int = 0
    already_done: int = 0
    by_status: dict[str, int] = field(default_factory=dict)
    new: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    slices: int = 0
    views: int = 0
    missing: int = 0
    duplicates: int = 0
    interrupted: bool = False
    max_quarantined: float = 1.0
    orphans_removed: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    timeline: list[tuple[float, int, int]] = field(default_factory=list)
    resources: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    partitions: list[dict[str, float]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all accounted for, 1 failed, 3 deferred work remains, 4 more quarantined than allowed."""
        if self.missing or self.duplicates or self.outcome == "failed":
            return 1
        if self.by_status.get(Status.DEFERRED) or (self.interrupted and not self.by_status):
            return 3
        return 4 if self.by_status.get(Status.QUARANTINED, 0) > self.max_quarantined * self.listed else 0


class RunRecord(BaseModel):
    """One ``runs/RUN.json``. config: as ScreenConfig, without its addresses in private mode."""

    summary: RunSummary
    config: dict[str, Any]
    versions: dict[str, str]

    @model_validator(mode="after")
    def _names_its_detector(self) -> "RunRecord":
        missing = {"detector", "prompts", "trained"} - set(self.summary.bundle)
        if missing:
            raise ValueError(f"bundle lacks {', '.join(sorted(missing))}")
        return self

    @property
    def private(self) -> bool:
        """Whether the run kept addresses out of its results; also where the record does not say."""
        return self.config.get("mode") != OPEN

    @property
    def flag(self) -> FlagSettings:
        """The flagging thresholds. Raises ValueError, naming the key."""
        return _section("flag", FlagSettings, self.config)

    @property
    def decode(self) -> DecodeSettings:
        """How the run decoded. Raises ValueError, naming the key."""
        return _section("decode", DecodeSettings, self.config)


def record_bytes(summary: RunSummary, config: ScreenConfig, versions: dict[str, str]) -> bytes:
    """Return a run's record as it is written. In private mode no address is part of it."""
    described = without_addresses(config) if config.private else config.model_dump(mode="json")
    document = {
        **asdict(summary),
        "exit_code": summary.exit_code,
        "config": described,
        "versions": versions,
    }
    return json.dumps(document, indent=2, sort_keys=True).encode()


def parse_record(data: bytes) -> RunRecord:
    """Return the record that these bytes hold. Raises ValueError, naming the key that is wrong."""
    try:
        document = json.loads(data)
        if not isinstance(document, dict):
            raise ValueError("an object with keys is expected")
        if not is_printable(document):
            raise ValueError("it holds characters that no run writes")
        return RunRecord.model_validate({**document, "summary": document})
    except ValidationError as error:
        raise ValueError(_first_problem(error).replace("summary.", "", 1)) from None
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _section(key: str, model: type[Section], config: dict[str, Any]) -> Section:
    try:
        return model.model_validate(config.get(key) or {})
    except ValidationError as error:
        raise ValueError(f"'config.{key}' is not understood ({_first_problem(error)})") from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"'{key}': {first['msg']}" if key else str(first["msg"])
