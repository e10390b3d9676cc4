"""A run's figures for monitoring: a small text file in Prometheus' exposition format 0.0.4.

Collectors such as node_exporter's textfile collector read it. It holds counts, times and codes: no address.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from typing_extensions import override

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.run.progress import Tally
from s2sw.schemas.outcomes import Reason, Status, status_of
from s2sw.schemas.run_record import RunSummary

SECONDS = 15.0  # while screening, the file is written that often
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Live:
    """Where a run at work stands.

    uncommitted: objects whose outcome is not written yet. oldest: seconds that the first of them waits.
    partitions: as of ``RunSummary``.
    """

    tally: Tally
    uncommitted: int = 0
    oldest: float = 0.0
    partitions: Sequence[Mapping[str, float]] = ()


def metrics_text(
    summary: RunSummary, moved: Mapping[str, int] | None = None, live: Live | None = None
) -> str:
    """Return a run's figures in the text format; what is known only at the end is there only then.

    moved: by measure, how many groups differ from their past. live: of a run at work.
    """
    return generate_latest(_Run(summary, moved, live)).decode()


def write_drift(path: str, summary: RunSummary, moved: Mapping[str, int]) -> None:
    """Write a finished run's figures with what differs from the past. Raises OSError."""
    place = Path(path).expanduser()
    LocalOutput(place.parent).write(place.name, metrics_text(summary, moved).encode())


class _Run(Collector):
    """A run's figures, as the client library takes them."""

    def __init__(self, summary: RunSummary, moved: Mapping[str, int] | None, live: Live | None) -> None:
        self._summary, self._moved, self._live = summary, moved, live

    @override
    def collect(self) -> Iterator[Metric]:
        summary = self._summary
        yield from (*_identity(summary), *_counts(summary), *_seconds(summary))
        if self._live and summary.outcome == "running":
            yield from _queues(self._live)
        partitions = summary.partitions or (self._live.partitions if self._live else ())
        yield from (_by(family, _of(partitions, name)) for name, family in _partitions() if partitions)
        if summary.by_status:
            yield from _account(summary)
        if summary.outcome != "running":
            yield from _end(summary)
        if self._moved is not None:
            yield _by(
                GaugeMetricFamily(
                    "s2sw_drifted_groups",
                    "Groups whose measure differs from their past.",
                    labels=["measure"],
                ),
                self._moved,
            )


class MetricsFile:
    """Keeps a text file up to date while a run works, replacing it in one step; does nothing without a path.

    look: returns where the run stands. A file that cannot be written is reported once and ends no run.
    """

    def __init__(self, path: str | None, summary: RunSummary, look: Callable[[], Live]) -> None:
        self._path = Path(path).expanduser() if path else None
        self._summary = summary
        self._look = look
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
        live = self._look()
        text = metrics_text(summary if summary.by_status else _with_tally(summary, live.tally), live=live)
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
        stage_seconds=dict(tally.stage_seconds),
    )


def _identity(summary: RunSummary) -> list[Metric]:
    labels = {
        "run_id": summary.run_id,
        "fingerprint": summary.fingerprint,
        "detector": str(summary.bundle.get("detector", "")),
        "trained": "true" if summary.bundle.get("trained") else "false",
        "version": _own_version(),
    }
    info = GaugeMetricFamily(
        "s2sw_run_info", "The latest run: its id, settings, detector and program.", labels=[*labels]
    )
    info.add_metric([*labels.values()], 1)
    running, started = summary.outcome == "running", _timestamp(summary.started)
    return [
        info,
        GaugeMetricFamily("s2sw_run_in_progress", "1 while the run works, 0 after its end.", running),
        GaugeMetricFamily("s2sw_run_started_timestamp_seconds", "Unix time of the run's start.", started),
        GaugeMetricFamily(
            "s2sw_detectors", "Detectors that work at once.", summary.resources.get("actors", 0)
        ),
    ]


def _counts(summary: RunSummary) -> list[Metric]:
    quarantine = [reason for reason in Reason if status_of(reason) is Status.QUARANTINED]
    return [
        _by(
            CounterMetricFamily(
                "s2sw_objects", "Objects that the run brought to this status.", labels=["status"]
            ),
            {status.value: summary.new.get(status, 0) for status in Status},
        ),
        _by(
            CounterMetricFamily(
                "s2sw_quarantined", "Objects that the run quarantined for this reason.", labels=["reason"]
            ),
            {reason.value: summary.reasons.get(reason, 0) for reason in quarantine},
        ),
        CounterMetricFamily("s2sw_slices", "Slices that the run scored.", summary.slices),
        CounterMetricFamily("s2sw_views", "Slices and tiles that the run scored.", summary.views),
    ]


def _seconds(summary: RunSummary) -> list[Metric]:
    return [
        _by(
            GaugeMetricFamily("s2sw_run_seconds", "Wall time of a finished phase.", labels=["phase"]),
            summary.seconds,
        ),
        _by(
            CounterMetricFamily(
                "s2sw_stage_seconds",
                "Time spent in a stage, added up over processes.",
                labels=["stage"],
            ),
            summary.stage_seconds,
        ),
    ]


def _queues(live: Live) -> list[Metric]:
    """What is on its way; for a run at work only."""
    left = max(0, live.tally.total - live.tally.objects)
    return [
        GaugeMetricFamily("s2sw_waiting_objects", "Objects to do that have no outcome yet.", left),
        GaugeMetricFamily(
            "s2sw_uncommitted_objects", "Objects whose outcome is not written yet.", live.uncommitted
        ),
        GaugeMetricFamily(
            "s2sw_oldest_uncommitted_seconds", "How long the first of these has been waiting.", live.oldest
        ),
    ]


def _partitions() -> list[tuple[str, GaugeMetricFamily]]:
    """Return what is told of each partition of a run with several writers, by its name in the record."""
    told = {
        "objects": "Objects that the run gave to the partition.",
        "finished": "Of these, objects that have their outcome.",
        "writers": "Writers that the partition has had; more than 1 where one was lost.",
    }
    return [
        (name, GaugeMetricFamily(f"s2sw_partition_{name}", text, labels=["partition"]))
        for name, text in told.items()
    ]


def _of(partitions: Sequence[Mapping[str, float]], name: str) -> dict[str, float]:
    return {str(int(one["number"])): one[name] for one in partitions}


def _account(summary: RunSummary) -> list[Metric]:
    """Figures of the whole listing; known once the run has compared ids."""
    return [
        GaugeMetricFamily("s2sw_listed_objects", "Objects in the listing.", summary.listed),
        _by(
            GaugeMetricFamily(
                "s2sw_listed_objects_by_status", "The listing's objects by status.", labels=["status"]
            ),
            {status.value: summary.by_status.get(status, 0) for status in Status},
        ),
        GaugeMetricFamily(
            "s2sw_missing_objects", "Listed objects without a status: 0 if sound.", summary.missing
        ),
        GaugeMetricFamily(
            "s2sw_duplicate_objects", "Rows beyond an object's first: 0 if sound.", summary.duplicates
        ),
    ]


def _end(summary: RunSummary) -> list[Metric]:
    finished = _timestamp(summary.finished)
    return [
        GaugeMetricFamily("s2sw_run_exit_code", "Exit code of s2sw screen.", summary.exit_code),
        GaugeMetricFamily("s2sw_last_run_timestamp_seconds", "Unix time of the latest run's end.", finished),
    ]


def _by(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, float]) -> Metric:
    """Give a family of one label its samples."""
    for label, value in values.items():
        family.add_metric([label], value)
    return family


def _timestamp(moment: str) -> int:
    """Return Unix seconds of an ISO 8601 moment; 0 for none."""
    return int(datetime.fromisoformat(moment).timestamp()) if moment else 0


def _own_version() -> str:
    try:
        return version("s2sw")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"
