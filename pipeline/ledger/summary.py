"""What a run says of itself when it ends: counts that add up, and the JSON behind them."""

import importlib.metadata
import platform
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.outcomes import Status

if TYPE_CHECKING:  # it brings PyTorch, and whoever only reads a summary needs none
    from s2sw.model.bundles.record import BundleRecord

VERSIONS_OF = ("s2sw", "torch", "ray", "pyarrow", "pydicom", "nibabel", "pillow", "open_clip_torch", "numpy")


@dataclass
class RunSummary:
    """The outcome of one run; ``runs/RUN.json`` holds the same.

    listed and by_status count the whole manifest under this fingerprint: listed is their sum. new counts what
    this run finished; already_done what earlier runs had. missing counts ids without a status, duplicates
    rows beyond the first of an id: both are 0 in every sound run. seconds are by phase; stage_seconds add up
    over processes. views are slices and tiles scored. timeline holds (seconds since screening began,
    objects, slices) at growing intervals. max_quarantined is the configured share of listed objects. key_id
    names the key of the ids in private mode and reveals nothing of it.
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
    seconds: dict[str, float] = field(default_factory=dict)
    stage_seconds: dict[str, float] = field(default_factory=dict)
    timeline: list[tuple[float, int, int]] = field(default_factory=list)
    resources: dict[str, Any] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 all accounted for, 1 failed, 3 deferred work remains, 4 more quarantined than allowed."""
        if self.missing or self.duplicates or self.outcome == "failed":
            return 1
        if self.by_status.get(Status.DEFERRED) or (self.interrupted and not self.by_status):
            return 3
        return 4 if self.by_status.get(Status.QUARANTINED, 0) > self.max_quarantined * self.listed else 0

    def as_json(self, config: ScreenConfig) -> dict[str, Any]:
        """Return what ``runs/RUN.json`` holds. In private mode no address is part of it."""
        described = config.model_dump()
        if config.mode == "private":
            for key in ("source", "output", "bundle", "private_dir", "metrics_file"):
                described[key] = None
            described["storage"]["endpoint_url"] = None
            described["classes"]["rules"] = list(config.classes.rules.values())  # patterns are of addresses
            described["cluster"]["address"] = described["cluster"]["temp_dir"] = None
        return {**asdict(self), "exit_code": self.exit_code, "config": described, "versions": versions()}


def versions() -> dict[str, str]:
    """Return the versions of what results may depend on."""
    found = {"python": platform.python_version()}
    for name in VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from a source tree
            found[name] = "unknown"
    return found


def describe_bundle(record: "BundleRecord") -> dict[str, Any]:
    """Return what a summary says of the detector."""
    names = {"detector", "prompts", "trained", "fingerprint", "image_size", "grid", "family_names"}
    return record.model_dump(mode="json", include=names)
