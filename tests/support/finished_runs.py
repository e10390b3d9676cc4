"""Outputs as runs leave them: parts through the writer, run files through the summary."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import pyarrow.parquet as pq

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.parquet import table_bytes
from s2sw.pipeline.ledger.summary import versions
from s2sw.pipeline.ledger.writer import Writer
from s2sw.pipeline.run.progress import Tally
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.schemas.config import PartSettings, ScreenConfig
from s2sw.schemas.layout import TABLE_FOLDERS, record_name
from s2sw.schemas.outcomes import Status
from s2sw.schemas.run_record import RunSummary, record_bytes
from tests.support.rows import made_id, stored

FIRST, SECOND = "20260701T010000-aaaaaa", "20260702T010000-bbbbbb"
SETTINGS = "f" * 32
BUNDLE = {
    "detector": "s2swclip", "prompts": "mvtec.pth", "trained": True, "fingerprint": "b" * 64,
    "image_size": 518, "grid": 37, "family_names": ["state", "object", "fused", "defect"],
}  # fmt: skip


def config(**values: Any) -> ScreenConfig:
    """Return a configuration whose addresses name a hospital."""
    return ScreenConfig.model_validate(
        {"source": "/st-elsewhere/archive", "output": "/st-elsewhere/out"} | values
    )


def write_parts(
    output: OutputFolder,
    objects: Iterable[FinishedObject],
    run_id: str = FIRST,
    fingerprint: str = SETTINGS,
    rows: int = 2,
    mark: str = "",
    start: int = 0,
    **parts: Any,
) -> None:
    """Commit objects as a run does, a few rows a part.

    mark: of the writer of a partition. start: number of the first object.
    """
    constants = {"bundle": "b", "fingerprint": fingerprint, "run_id": run_id, "threshold": 0.5}
    writer = Writer(output, PartSettings(rows=rows, **parts), constants, keep_uri=True, mark=mark)
    for number, finished in enumerate(objects, start):
        writer.add(finished, made_id(run_id, number), stored(number))
    writer.commit()


def write_old_parts(
    output: OutputFolder, objects: Iterable[FinishedObject], run_id: str = FIRST, site: str = ""
) -> None:
    """Commit objects as earlier versions did: no columns date and site, but folders if there is a site."""
    before = {name for table in TABLE_FOLDERS for name in output.names(table)}
    write_parts(output, objects, run_id, site=site)
    folders = f"site={site}/date={run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}/" if site else ""
    for table in TABLE_FOLDERS:
        for name in set(output.names(table)) - before:
            rows = pq.read_table(BytesIO(output.read(name))).drop_columns(["date", "site"])
            output.delete(name)
            output.write(name.replace(f"{table}/", f"{table}/{folders}", 1), table_bytes(rows))


def summarise(objects: list[FinishedObject], run_id: str = FIRST, **values: Any) -> RunSummary:
    """Return the summary of a run that finished these objects and found nothing done."""
    tally = Tally(len(objects))
    for finished in objects:
        tally.add(finished)
    counts = {status.value: tally.statuses[status] for status in Status}
    known = {
        "run_id": run_id, "fingerprint": SETTINGS, "bundle": BUNDLE, "outcome": "finished",
        "started": "2026-07-01T01:00:00+00:00", "finished": "2026-07-01T01:02:00+00:00",
        "listed": len(objects), "by_status": counts, "new": counts, "reasons": dict(tally.reasons),
        "slices": tally.slices, "views": tally.views, "resources": {"device": "cpu", "actors": 1},
        "seconds": {"list": 0.5, "screen": 100.0, "total": 120.0},
        "stage_seconds": {"decode": 40.0, "detect": 160.0},
        "timeline": [(10.0, 1, 2), (50.0, 3, 10), (100.0, len(objects), tally.slices)],
    }  # fmt: skip
    return RunSummary(**(known | values))


def write_run(output: OutputFolder, summary: RunSummary, configuration: ScreenConfig | None = None) -> bytes:
    """Write a run's file, and return it."""
    document = record_bytes(summary, configuration or config(), versions())
    output.write(record_name(summary.run_id), document)
    return document
