"""A run's figures for monitoring: a small text file in Prometheus' exposition format 0.0.4.

Collectors such as node_exporter's textfile collector read it. It holds counts, times and codes: no address.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.run.progress import Tally
from s2sw.schemas.outcomes import Reason, Status, status_of
from s2sw.schemas.run_record import RunSummary

SECONDS = 15.0  # while screening, the file is written that often
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Family:
    """One metric with its samples by label. kind: ``counter`` or ``gauge``."""

    name: str
    kind: str
    help: str
    samples: list[tuple[dict[str, str], float]]

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text format."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            # plus turns a truth value into a number
            yield f"{self.name}{{{inner}}} {+value}" if inner else f"{self.name} {+value}"


def metrics_text(summary: RunSummary) -> str:
    """Return a run's figures in the text format; what is known only at the end is there only then."""
    families = [*_identity(summary), *_counts(summary), *_seconds(summary)]
    if summary.by_status:
        families += _account(summary)
    if summary.outcome != "running":
        families += _end(summary)
    return "".join(f"{line}\n" for family in families for line in family.lines())


class MetricsFile:
    """Keeps a text file up to date while a run works, replacing it in one step; does nothing without a path.

    A file that cannot be written is reported once and ends no run.
    """

    def __init__(self, path: str | None, summary: RunSummary, tally: Tally) -> None:
        self._path = Path(path).expanduser() if path else None
        self._summary = summary
        self._tally = tally
        self._written = 0.0
        self._failed = False

    def __enter__(self) -> "MetricsFile":
        self._write(self._summary)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(replace(self._summary, outcome="failed") if kind else self._summary)

    def update(self) -> None:
        """Write the counts so far, if the last time is long enough ago."""
        if time.monotonic() - self._written >= SECONDS:
            self._write(self._summary)

    def _write(self, summary: RunSummary) -> None:
        if self._path is None:
            return
        self._written = time.monotonic()
        text = metrics_text(summary if summary.by_status else _with_tally(summary, self._tally))
        try:
            LocalOutput(self._path.parent).write(self._path.name, text.encode())
        except OSError as error:
            if not self._failed:
                _log.warning("metrics_file: cannot write %s (%s)", self._path, error.strerror)
            self._failed = True


def _with_tally(summary: RunSummary, tally: Tally) -> RunSummary:
    """Return the summary with the counts so far, which are entered into it at the run's end only."""
    return replace(
        summary,
        new={status.value: count for status, count in tally.statuses.items()},
        reasons=dict(tally.reasons),
        slices=tally.slices,
        views=tally.views,
    )


def _identity(summary: RunSummary) -> list[Family]:
    labels = {
        "run_id": summary.run_id,
        "fingerprint": summary.fingerprint,
        "detector": str(summary.bundle.get("detector", "")),
        "trained": "true" if summary.bundle.get("trained") else "false",
        "version": _own_version(),
    }
    running, started = summary.outcome == "running", _timestamp(summary.started)
    return [
        _gauge("s2sw_run_info", "The latest run: its id, settings, detector and program.", (labels, 1)),
        _gauge("s2sw_run_in_progress", "1 while the run works, 0 after its end.", running),
        _gauge("s2sw_run_started_timestamp_seconds", "Unix time of the run's start.", started),
    ]


def _counts(summary: RunSummary) -> list[Family]:
    quarantine = [reason for reason in Reason if status_of(reason) is Status.QUARANTINED]
    return [
        Family(
            "s2sw_objects_total",
            "counter",
            "Objects that the run brought to this status.",
            _by("status", {status.value: summary.new.get(status, 0) for status in Status}),
        ),
        Family(
            "s2sw_quarantined_total",
            "counter",
            "Objects that the run quarantined for this reason.",
            _by("reason", {reason.value: summary.reasons.get(reason, 0) for reason in quarantine}),
        ),
        Family("s2sw_slices_total", "counter", "Slices that the run scored.", [({}, summary.slices)]),
        Family("s2sw_views_total", "counter", "Slices and tiles that the run scored.", [({}, summary.views)]),
    ]


def _seconds(summary: RunSummary) -> list[Family]:
    return [
        Family("s2sw_run_seconds", "gauge", "Wall time of a finished phase.", _by("phase", summary.seconds)),
        Family(
            "s2sw_stage_seconds_total",
            "counter",
            "Time spent in a stage, added up over processes; known when a pass is over.",
            _by("stage", summary.stage_seconds),
        ),
    ]


def _account(summary: RunSummary) -> list[Family]:
    """Figures of the whole listing; known once the run has compared ids."""
    by_status = _by("status", {status.value: summary.by_status.get(status, 0) for status in Status})
    return [
        _gauge("s2sw_listed_objects", "Objects in the listing.", summary.listed),
        Family("s2sw_listed_objects_by_status", "gauge", "The listing's objects by status.", by_status),
        _gauge("s2sw_missing_objects", "Listed objects without a status: 0 if sound.", summary.missing),
        _gauge("s2sw_duplicate_objects", "Rows beyond an object's first: 0 if sound.", summary.duplicates),
    ]


def _end(summary: RunSummary) -> list[Family]:
    finished = _timestamp(summary.finished)
    return [
        _gauge("s2sw_run_exit_code", "Exit code of s2sw screen.", summary.exit_code),
        _gauge("s2sw_last_run_timestamp_seconds", "Unix time of the latest run's end.", finished),
    ]


def _gauge(name: str, text: str, value: float | tuple[dict[str, str], float]) -> Family:
    sample = value if isinstance(value, tuple) else ({}, value)
    return Family(name, "gauge", text, [sample])


def _by(label: str, values: Mapping[str, float]) -> list[tuple[dict[str, str], float]]:
    return [({label: key}, value) for key, value in values.items()]


def _timestamp(moment: str) -> int:
    """Return Unix seconds of an ISO 8601 moment; 0 for none."""
    return int(datetime.fromisoformat(moment).timestamp()) if moment else 0


def _own_version() -> str:
    try:
        return version("s2sw")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"


def _escaped(text: str) -> str:
    """Escape a label's value: backslash, double quote and line feed."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
