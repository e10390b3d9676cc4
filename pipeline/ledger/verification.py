"""Looking at every file of an output: whether it can be read, and whether the tables agree."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.parquet.tables import BYTES, bounded_batches
from s2sw.pipeline.imaging.masks import check_mask
from s2sw.pipeline.ledger.committed import committed
from s2sw.pipeline.ledger.run_records import ReportError, read_run, run_ids
from s2sw.schemas import forms
from s2sw.schemas.errors import UserError
from s2sw.schemas.layout import (
    DECISIONS_FOLDER,
    DEFERRED_FILE,
    OBJECTS_FOLDER,
    SET_ASIDE_FOLDER,
    SLICES_FOLDER,
    parts,
)
from s2sw.schemas.outcomes import Status
from s2sw.schemas.tables import DECISIONS, DEFERRED, OBJECTS, SLICES, Row

MASK_COLUMNS = ["object_id", "slice_index", "rows", "cols", "mask", "mask_encoding"]
ROWS_AT_ONCE = 1_000
VERSION = ["object_id", "run_id"]
"""What a row is of: a merged part may hold an object as several runs screened it."""
SCREENED_AGAIN = "its objects are screened again by the next run"


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong. set_aside: files that have to go so that the next run fills the gap."""

    name: str
    problem: str
    lost: str
    set_aside: tuple[str, ...] = ()


def verify(
    output: OutputFolder, masks: bool = True, step: Callable[[str], None] = lambda _: None
) -> Iterator[Damage]:
    """Yield what is wrong with the files of an output. masks: decode every mask, too, which takes longest.

    step: called with the name of each file before it is read.
    """
    found = committed(output)
    for name, problem in found.damaged.items():
        yield _no_part(name, problem)
    for name in found.objects:
        step(name)
        yield from _pair(output, name, name in found.without_slices, masks)
    for name in parts(output.sizes(DECISIONS_FOLDER)):
        step(name)
        yield from _table(output, name, DECISIONS, "the decisions in it")
    if DEFERRED_FILE in output.sizes(DEFERRED_FILE.partition("/")[0]):
        yield from _table(output, DEFERRED_FILE, DEFERRED, "since when deferred objects have waited")
    for run_id in run_ids(output):
        try:
            read_run(output, run_id)
        except ReportError as error:
            yield Damage(f"runs/{run_id}.json", str(error).partition(": ")[2], "what the run said of itself")


def set_aside(output: OutputFolder, damage: Damage) -> list[str]:
    """Move the files that have to go into a folder that no reader looks into; return their names there."""
    moved = []
    for name in damage.set_aside:
        try:
            output.write(f"{SET_ASIDE_FOLDER}/{name}", output.read(name, BYTES))
        except FileNotFoundError:  # moved with another one
            continue
        output.delete(name)
        moved.append(f"{SET_ASIDE_FOLDER}/{name}")
    return moved


def _no_part(name: str, problem: str) -> Damage:
    both = (name, _other(name)) if name.startswith(OBJECTS_FOLDER) else (name,)
    return Damage(name, problem, SCREENED_AGAIN, both)


def _pair(output: OutputFolder, name: str, alone: bool, masks: bool) -> Iterator[Damage]:
    """Check a part of objects and the part of slices that belongs to it."""
    objects, problem = _read(output, name, OBJECTS, [*VERSION, "status", "n_slices"])
    if objects is None:
        yield Damage(name, problem, SCREENED_AGAIN, (name, _other(name)))
        return
    if objects.select(VERSION).group_by(VERSION).aggregate([]).num_rows != len(objects):
        yield Damage(name, "an object occurs twice in it", SCREENED_AGAIN, (name, _other(name)))
        return
    expected = objects.filter(pc.field("status") == Status.SCREENED.value)
    versions = zip(*(expected[name].to_pylist() for name in VERSION), strict=True)
    wanted = dict(zip(versions, expected["n_slices"].to_pylist(), strict=True))
    if not wanted:
        return
    slices = _other(name)
    if alone:
        yield Damage(slices, "is missing or damaged", SCREENED_AGAIN)
        return
    look = _bad_mask if masks else _nothing
    table, problem = _read(output, slices, SLICES, [*VERSION, "slice_index"], look)
    if table is not None:
        problem = _disagreement(table, wanted) or problem
    if problem:
        yield Damage(slices, problem, SCREENED_AGAIN, (slices,))


def _disagreement(slices: pa.Table, wanted: dict[tuple[str, ...], int]) -> str:
    """Return how a part of slices differs from what its part of objects says; nothing where it does not."""
    groups = slices.group_by(VERSION).aggregate(
        [("slice_index", "count"), ("slice_index", "count_distinct"), ("slice_index", "max")]
    )
    there = {
        tuple(row[name] for name in VERSION): (
            row["slice_index_count"],
            row["slice_index_count_distinct"],
            row["slice_index_max"],
        )
        for row in groups.to_pylist()
    }
    missing, more = wanted.keys() - there.keys(), there.keys() - wanted.keys()
    if missing or more:
        return f"{len(missing)} objects have no slices in it, {len(more)} are unknown to {OBJECTS_FOLDER}/"
    wrong = [one for one, count in wanted.items() if there[one] != (count, count, count - 1)]
    return f"{len(wrong)} objects lack slices, or have some twice" if wrong else ""


def _bad_mask(slices: pa.RecordBatch) -> str:
    bad = [row for row in slices.select(MASK_COLUMNS).to_pylist() if not _decodes(row)]
    return (
        f"the mask of slice {bad[0]['slice_index']} of {bad[0]['object_id']} cannot be decoded" if bad else ""
    )


def _nothing(_: pa.RecordBatch) -> str:
    return ""


def _decodes(row: Row) -> bool:
    try:
        rows, cols = row["rows"], row["cols"]
        if not (1 <= rows <= forms.SIDE and 1 <= cols <= forms.SIDE and rows * cols <= forms.PIXELS):
            return False
        check_mask(row["mask"], row["mask_encoding"], rows, cols)
    except Exception:  # noqa: BLE001 - codecs raise whatever they like on bytes that are none of theirs
        return False
    return True


def _table(output: OutputFolder, name: str, schema: pa.Schema, lost: str) -> Iterator[Damage]:
    table, problem = _read(output, name, schema, [])
    if table is None:
        yield Damage(name, problem, lost, (name,))


def _read(
    output: OutputFolder,
    name: str,
    schema: pa.Schema,
    kept: list[str],
    look: Callable[[pa.RecordBatch], str] = _nothing,
) -> tuple[pa.Table | None, str]:
    """Return columns of a file, or why it cannot be read; all others are read, too, and not held.

    Columns that earlier versions lack may be missing. look: returns what is wrong with rows, and is not asked
    again once it does; that comes back beside the table.
    """
    required = {field.name for field in schema if not field.nullable}
    found, problem = [], ""
    try:
        for batch in bounded_batches(BytesIO(output.read(name, BYTES)), ROWS_AT_ONCE):
            if lacking := sorted(required - set(batch.schema.names)):
                return None, f"lacks the column {lacking[0]}"
            problem = problem or look(batch)
            found.append(batch.select(kept))
    except (pa.ArrowException, OSError, UserError) as error:
        return None, f"cannot be read ({' '.join(str(error).split())[:80]})"
    return pa.Table.from_batches(found), problem


def _other(name: str) -> str:
    """Return the part of the other table that has the same name."""
    here, there = (
        (OBJECTS_FOLDER, SLICES_FOLDER)
        if name.startswith(OBJECTS_FOLDER)
        else (SLICES_FOLDER, OBJECTS_FOLDER)
    )
    return name.replace(here, there, 1)
