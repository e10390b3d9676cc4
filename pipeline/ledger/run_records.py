"""Reading ``runs/RUN.json`` back."""

import logging
from collections.abc import Iterator

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.privacy.private_dir import new_run_id
from s2sw.schemas import layout
from s2sw.schemas.errors import UserError
from s2sw.schemas.forms import is_run_id
from s2sw.schemas.layout import OBJECTS_FOLDER, RUNS_FOLDER
from s2sw.schemas.run_record import RunRecord, parse_record

log = logging.getLogger(__name__)


class ReportError(UserError):
    """There is nothing to report on; the message says what was looked for and what to do."""


def run_ids(output: OutputFolder) -> list[str]:
    """Return the ids of the runs that left a record, oldest first."""
    return layout.run_ids(output.names(RUNS_FOLDER))


def next_run_id(output: OutputFolder) -> str:
    """Return the id of a run that starts now, and so sorts behind all that left a record or rows."""
    parts = layout.parts(output.names(OBJECTS_FOLDER))
    of_parts = filter(is_run_id, (layout.part_of(name).run for name in parts))
    return new_run_id([*run_ids(output), *of_parts])


def read_run(output: OutputFolder, run_id: str) -> RunRecord:
    """Read one run's record. Raises ReportError if it is damaged."""
    name = layout.record_name(run_id)
    try:
        return parse_record(output.read(name))
    except ValueError as error:
        raise ReportError(f"{output.root}/{name}: not the file of a run ({error})") from error


def choose_run(output: OutputFolder, run_id: str | None) -> RunRecord:
    """Return the named run, or the latest. Raises ReportError, listing the known ones."""
    known = known_runs(output)
    if run_id is None:
        return read_run(output, known[-1])
    if run_id not in known:
        listed = ", ".join(known[-10:])
        earlier = f"and {len(known) - 10} earlier; " if len(known) > 10 else ""
        raise ReportError(f"no run {run_id} in {output.root}; known: {listed} ({earlier}--all lists them)")
    return read_run(output, run_id)


def all_runs(output: OutputFolder) -> Iterator[RunRecord]:
    """Yield every run whose record can be read, oldest first. Raises ReportError if there is none."""
    for run_id in known_runs(output):
        try:
            yield read_run(output, run_id)
        except ReportError as error:
            log.warning("%s", f"left out: {error}")


def known_runs(output: OutputFolder) -> list[str]:
    """Return the ids of all runs. Raises ReportError if there is none."""
    known = run_ids(output)
    if not known:
        raise ReportError(f"{output.root} holds no runs (runs/*.json); name the --output of a screening")
    return known
