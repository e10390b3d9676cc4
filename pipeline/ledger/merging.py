"""Merging small parts into large ones. Every row is there exactly once at any moment, whatever is killed.

A file ``objects/_merge-PART.json`` says which parts a part is to replace. Then its slices are written, then
its objects: from this moment on readers take it instead of the others, which are removed one by one, and the
file at last. Whoever holds the output next removes what a killed merge left (``committed.finish_merges``).
"""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

import pyarrow as pa
import pyarrow.compute as pc

from s2sw.connectors.outputs.folder import TABLE_BYTES, OutputFolder
from s2sw.connectors.parquet.tables import BYTES, bounded_table
from s2sw.pipeline.ledger.committed import committed, finish_merges, slices_of
from s2sw.pipeline.ledger.parquet import table_bytes
from s2sw.schemas import layout
from s2sw.schemas.errors import UserError
from s2sw.schemas.layout import OBJECTS_FOLDER, SLICES_FOLDER, Part
from s2sw.schemas.tables import OBJECTS, SLICES

log = logging.getLogger(__name__)

ROW_GROUP = 2_000
"""Rows of a row group: a reader that wants days or high scores skips the others by their statistics."""
ORDER = {
    SLICES_FOLDER: [("date", "ascending"), ("image_score", "descending"), ("object_id", "ascending"),
                    ("slice_index", "ascending")],
    OBJECTS_FOLDER: [("date", "ascending"), ("max_score", "descending"), ("object_id", "ascending")],
}  # fmt: skip


@dataclass(frozen=True)
class Small:
    """A part that may be merged. rows: of the larger of its tables; old: of an earlier version's layout.

    inflated: bytes of both tables in memory.
    """

    part: Part
    fingerprint: str
    rows: int
    slices: bool
    old: bool
    inflated: int

    @property
    def short(self) -> str:
        """Its name below the folder of a table."""
        return self.part.name.removeprefix(f"{OBJECTS_FOLDER}/")


def old_parts(output: OutputFolder) -> int:
    """Return how many parts lie in folders, as earlier versions wrote them."""
    return sum(layout.part_of(name).in_folders for name in committed(output).objects)


def warn_of_old_parts(output: OutputFolder) -> None:
    """Say in the log what rewrites such parts."""
    if old := old_parts(output):
        log.warning(
            "%s", f"{old} parts lie in folders of an earlier version; `s2sw compact` puts all into one layout"
        )


def merges(output: OutputFolder, rows: int) -> list[list[Small]]:
    """Return the groups of parts that are to become one part each, of so many rows at most.

    Parts of half of that and more stay as they are, unless an earlier version wrote them. All parts of a
    group were made under the same settings.
    """
    groups: list[list[Small]] = []
    size = inflated = 0
    found = sorted(_small(output, rows), key=lambda one: (one.fingerprint, one.part.run, one.short))
    for small in found:
        fits = size + small.rows <= rows and inflated + small.inflated <= BYTES
        if not groups or groups[-1][0].fingerprint != small.fingerprint or not fits:
            groups.append([])
            size = inflated = 0
        groups[-1].append(small)
        size, inflated = size + small.rows, inflated + small.inflated
    return [group for group in groups if len(group) > 1 or group[0].old]


def merge(output: OutputFolder, group: list[Small], check: Callable[[], None]) -> None:
    """Put a group into one part. check: called before each write; raises if no more may be written."""
    names = [small.short for small in group]
    name = layout.merged_name(max(small.part.run for small in group), names)
    objects = _table(output, [small.part for small in group], OBJECTS, OBJECTS_FOLDER)
    part = objects.schema.get_field_index("part")
    objects = objects.set_column(part, OBJECTS.field("part"), pa.repeat(name, len(objects)))
    with_slices = [small.part for small in group if small.slices]
    slices = _table(output, with_slices, SLICES, SLICES_FOLDER) if with_slices else None
    document = {"part": name, "replaces": names, "slices": slices is not None}
    check()
    output.write(layout.merge_file(name), json.dumps(document).encode())
    if slices is not None:
        check()
        output.write(f"{SLICES_FOLDER}/{name}", table_bytes(slices, ROW_GROUP))
    check()
    output.write(f"{OBJECTS_FOLDER}/{name}", table_bytes(objects, ROW_GROUP))
    finish_merges(output, check)


def _small(output: OutputFolder, rows: int) -> Iterator[Small]:
    """Yield the parts that can be merged. Left out are damaged ones and those of a later version."""
    found = committed(output)
    for name in found.objects:
        with_slices = name not in found.without_slices
        try:
            objects = _read(output, name)
            part, old = layout.part_of(name), objects.column_names != OBJECTS.names
            settings, counts = objects["fingerprint"].unique(), pc.sum(objects["n_slices"]).as_py() or 0
            size = max(len(objects), counts)
            old = old or part.in_folders
            if not (old or 2 * size < rows) or len(settings) != 1 or (counts and not with_slices):
                continue
            slices = _read(output, slices_of(name)) if with_slices else None
            known = _is_known(objects, OBJECTS) and (slices is None or _is_known(slices, SLICES))
            inflated = objects.nbytes + (slices.nbytes if slices is not None else 0)
        except (pa.ArrowException, OSError, KeyError, UserError):  # large, or `s2sw verify` tells of it
            continue
        if known:
            yield Small(part, settings[0].as_py(), size, with_slices, old, inflated)


def _read(output: OutputFolder, name: str) -> pa.Table:
    return bounded_table(BytesIO(output.read(name, TABLE_BYTES)))


def _is_known(table: pa.Table, schema: pa.Schema) -> bool:
    """Tell whether a table has no column that this version does not know, and all that none lacks."""
    required = {field.name for field in schema if not field.nullable}
    return required <= set(table.column_names) <= set(schema.names)


def _table(output: OutputFolder, parts: list[Part], schema: pa.Schema, folder: str) -> pa.Table:
    """Return the rows of parts in the order of a merged part, with all columns of the schema."""
    whole = pa.concat_tables([_rows(output, part, schema, folder) for part in parts])
    return whole.sort_by(ORDER[folder])


def _rows(output: OutputFolder, part: Part, schema: pa.Schema, folder: str) -> pa.Table:
    """Return the rows of one part; what an earlier version did not write is null, or what its name says."""
    table = _read(output, part.name.replace(OBJECTS_FOLDER, folder, 1))
    said = {"date": part.date, "site": part.site}
    columns = [
        table[field.name].cast(field.type)
        if field.name in table.column_names
        else pa.repeat(pa.scalar(said.get(field.name), field.type), len(table))
        for field in schema
    ]
    return pa.table(columns, schema=schema)
