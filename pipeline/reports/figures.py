"""The figures of a run's report, gathered part by part from an output folder."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.evidence.drift import drift, sentence
from s2sw.pipeline.evidence.making import KINDS
from s2sw.pipeline.evidence.nights import Nights, histograms
from s2sw.pipeline.evidence.worklist import written_value
from s2sw.pipeline.flagging.rule import would_flag
from s2sw.pipeline.ledger.committed import committed_parts
from s2sw.pipeline.ledger.run_records import run_ids
from s2sw.pipeline.reports.histogram import ScoreHistogram
from s2sw.pipeline.results import sql_views as views
from s2sw.pipeline.results.checking import sound_table
from s2sw.pipeline.results.reading import Results
from s2sw.schemas.layout import OBJECTS_FOLDER, SLICES_FOLDER
from s2sw.schemas.outcomes import Status
from s2sw.schemas.run_record import RunRecord

log = logging.getLogger(__name__)

THREADS = 8  # parts read at once: on S3 a part is a few small requests
PARTS_AHEAD = 16


@dataclass
class Figures:
    """Counts over committed rows. reasons are those of quarantined objects."""

    scores: ScoreHistogram = field(default_factory=ScoreHistogram)
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass
class RunReport:
    """What a report shows: the run's own rows, and all rows made under the same settings.

    unfinished: runs with committed results but no run file; they were killed, or still work. flagged: slices
    under the same settings that reach the flagging thresholds of this run; None if it has none. bad_rows: are
    left out, since no run wrote them.
    """

    run: RunRecord
    own: Figures = field(default_factory=Figures)
    same_settings: Figures = field(default_factory=Figures)
    unfinished: list[str] = field(default_factory=list)
    flagged: int | None = None
    bad_rows: int = 0
    drift: str = ""
    """Which groups differ from their past, in one line."""
    nights: list[Nights] = field(default_factory=list)
    """Histograms over nights of what moved."""
    worth: list[str] = field(default_factory=list)
    """What the run's worklists are worth, a line each."""


def gather(output: OutputFolder, run: RunRecord) -> RunReport:
    """Read the few columns that the report needs; memory does not grow with the number of rows."""
    report = RunReport(run)
    parts = committed_parts(output)
    committed, slices = ([part.name for part in parts[table]] for table in (OBJECTS_FOLDER, SLICES_FOLDER))
    for table in _tables(output, committed, ["status", "reason"], run.summary.fingerprint):
        _add_reasons(report, _sound(report, table))
    for table in _tables(output, slices, ["image_score"], run.summary.fingerprint):
        _add_scores(report, _sound(report, table))
    if report.bad_rows:
        log.warning("%s", f"{report.bad_rows} invalid rows are left out")
    known = set(run_ids(output))
    report.flagged = _flagged(output, run)
    results, run_id = Results(output, run.summary.fingerprint), run.summary.run_id
    changes = drift(results, run_id)
    report.drift, report.nights = sentence(changes), list(histograms(results, run_id, changes))
    report.worth = list(_worth(output, run_id))
    report.unfinished = sorted({part.run for part in parts[OBJECTS_FOLDER]} - known)
    return report


def _worth(output: OutputFolder, run_id: str) -> Iterator[str]:
    """Say of each of the run's lists what it is worth."""
    for noun, (_, folder) in KINDS.items():
        value = written_value(output, run_id, folder)
        if value is not None:
            yield value.sentence(f"{noun}s")


def _flagged(output: OutputFolder, run: RunRecord) -> int | None:
    if not run.flag.has_threshold:
        return None
    return would_flag(views.connect(output, run.summary.fingerprint), run.summary.fingerprint, run.flag)[0]


def _tables(
    output: OutputFolder, names: list[str], columns: list[str], fingerprint: str
) -> Iterator[pa.Table]:
    """Yield the parts' rows made under one fingerprint, reading a bounded number of parts ahead."""
    wanted = [*columns, "fingerprint", "run_id"]

    def read(name: str) -> pa.Table:
        return output.read_columns(name, wanted).filter(pc.field("fingerprint") == fingerprint)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="report") as pool:
        for start in range(0, len(names), PARTS_AHEAD):
            yield from pool.map(read, names[start : start + PARTS_AHEAD])


def _sound(report: RunReport, table: pa.Table) -> pa.Table:
    kept, bad = sound_table(table)
    report.bad_rows += bad
    return kept


def _add_reasons(report: RunReport, table: pa.Table) -> None:
    quarantined = table.filter(pc.field("status") == Status.QUARANTINED.value)
    _add(report, quarantined, lambda figures, rows: figures.reasons.update(rows["reason"].to_pylist()))


def _add_scores(report: RunReport, table: pa.Table) -> None:
    _add(report, table, lambda figures, rows: figures.scores.add(rows["image_score"].to_numpy()))


def _add(report: RunReport, table: pa.Table, add: Callable[[Figures, pa.Table], None]) -> None:
    """Add rows to the figures of all, and to the run's own if they are."""
    add(report.same_settings, table)
    add(report.own, table.filter(pc.field("run_id") == report.run.summary.run_id))
