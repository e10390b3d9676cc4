"""Findings: the 3-D components of the masks of neighbouring slices.

Neighbours are slices of one stack: of an object in their order, or single files of a DICOM series by Image
Position (Patient) along the normal of Image Orientation (Patient) (PS3.3 C.7.6.2.1.1). Where a slice is
missing between two, they are no neighbours. Voxels that touch at a face, an edge or a corner are of one
finding.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from s2sw.pipeline.imaging.components import Components
from s2sw.pipeline.results.checking import BadRowError, problem_of
from s2sw.pipeline.results.reading import mask
from s2sw.schemas.tables import Row

FINDINGS = 20
"""Findings that are described of a case; all are counted."""
SPECK = 0.5
"""Weight of a finding that is too thin, by that of a thicker one."""
SPECK_DEPTH = 3
"""Slices of a stack from which a finding in it can be too thin."""
THICKNESS = 2.0
"""mm that a finding is thick at least, where the distance of slices is known; and always two slices."""

LARGEST = 1 << 25
"""Pixels of a slice whose mask is taken apart; of a larger one the whole mask is one finding."""
_GAP = 1.5
"""Steps between slices above which one is missing."""
_BATCH = 50_000
"""Slices whose masks are read at a time, in whole volumes."""
_ROWS = 1000  # of these as Python values

# CT windows of a frame are slices of their own: neighbours are those of one plane. Slices of a series that
# lie at one place, such as several echoes, are layers: each is a stack of its own
_MARKED = """
CREATE OR REPLACE TEMP TABLE marked AS
WITH own AS (FROM case_rows WHERE {own}),
stacked AS (
    SELECT *, count(*) OVER (PARTITION BY object_id, plane) = 1 AND series_id IS NOT NULL
        AND height IS NOT NULL AS is_file,
        CASE WHEN is_file THEN concat_ws('/', series_id, rows, cols, directions) ELSE object_id END AS stack
    FROM own
), layered AS (
    SELECT *, CASE WHEN is_file THEN row_number() OVER (
        PARTITION BY unit_id, stack, plane, round(height, 2) ORDER BY instance_number, object_id
    ) ELSE 0 END AS layer FROM stacked
), placed AS (
    SELECT *, row_number() OVER whole AS place, abs(height - lag(height) OVER whole) AS gap,
        coalesce(lag(area_fraction) OVER whole, 0) AS area_before
    FROM layered WINDOW whole AS (
        PARTITION BY unit_id, stack, plane, layer ORDER BY CASE WHEN is_file THEN height END, slice_index
    )
), stepped AS (
    SELECT *, median(gap) OVER alike AS step, count(*) OVER alike AS depth
    FROM placed WINDOW alike AS (PARTITION BY unit_id, stack, plane, layer)
), runs AS (
    SELECT *, count(*) FILTER (area_before = 0 OR gap > {gap} * step) OVER (
        PARTITION BY unit_id, stack, plane, layer ORDER BY place
    ) AS own_run FROM stepped WHERE area_fraction > 0
)
SELECT unit_id, plane, object_id, run_id, slice_index, place, score, pixel_area, step, depth,
    CAST(round(pixels) AS BIGINT) AS said_pixels,
    dense_rank() OVER (ORDER BY unit_id, stack, plane, layer, own_run) AS run
FROM runs
"""
_COUNTS = "SELECT run, count(*) FROM marked GROUP BY run ORDER BY run"
_MASKS = """
SELECT run, object_id, slice_index, said_pixels, s.rows, s.cols, mask, mask_encoding
FROM marked JOIN slices s USING (object_id, run_id, slice_index) WHERE run BETWEEN ? AND ?
ORDER BY run, place
"""
_MASK_COLUMNS = ("rows", "cols", "mask", "mask_encoding")
_REGIONS = pa.schema(
    [
        pa.field("object_id", pa.string()),
        pa.field("slice_index", pa.int32()),
        pa.field("component", pa.int64()),
        pa.field("pixels", pa.int64()),
    ]
)

FOUND = f"""
WITH findings AS (
    SELECT unit_id, plane,
        max({{'score': score, 'pixels': r.pixels, 'before': -place, 'object_id': object_id,
            'slice': slice_index}}) AS top,
        arg_min(object_id, place) AS first_object, arg_min(slice_index, place) AS first_slice,
        arg_max(object_id, place) AS last_object, arg_max(slice_index, place) AS last_slice,
        count(*) AS slices, max(score) AS score, any_value(depth) AS of_slices,
        any_value(step) FILTER (step > 0) AS distance,
        max(score) * CASE WHEN any_value(depth) >= {SPECK_DEPTH}
            AND (count(*) = 1 OR count(*) * distance < {THICKNESS}) THEN {SPECK} ELSE 1 END AS weight,
        CAST(sum(r.pixels) AS BIGINT) AS pixels,
        CASE WHEN count(pixel_area) = count(*) THEN sum(r.pixels * pixel_area) * distance END AS volume_mm3
    FROM marked JOIN regions r USING (object_id, slice_index) GROUP BY unit_id, plane, run, component
)
SELECT unit_id, count(*) AS n_findings, list({{
    'object_id': top.object_id, 'plane': plane, 'first_object': first_object, 'first_slice': first_slice,
    'last_object': last_object, 'last_slice': last_slice, 'slices': CAST(slices AS INTEGER),
    'of_slices': CAST(of_slices AS INTEGER), 'worst_slice': top.slice, 'score': score,
    'weight': CAST(weight AS FLOAT), 'pixels': pixels, 'volume_mm3': volume_mm3
}} ORDER BY weight DESC, score DESC, pixels DESC, first_object, first_slice)[:{FINDINGS}] AS findings
FROM findings GROUP BY unit_id
"""  # noqa: S608
"""SQL of each unit's findings, after ``mark``."""


def mark(connection: duckdb.DuckDBPyConnection, own: str) -> None:
    """Make what FOUND reads, of the rows of a night (SQL); connection: with the view ``case_rows``."""
    connection.execute(_MARKED.format(own=own, gap=_GAP))
    regions = [_regions(rows) for rows in _runs(connection)]
    connection.register("regions", pa.concat_tables([_REGIONS.empty_table(), *regions]))


def _runs(connection: duckdb.DuckDBPyConnection) -> Iterator[list[Row]]:
    """Yield the slices of each run of neighbours that have a mask, in order, with their masks."""
    for first, last in _batches(connection.execute(_COUNTS).fetchall()):
        found = connection.sql(_MASKS, params=[first, last]).to_arrow_table().to_batches(_ROWS)
        rows = (row for batch in found for row in batch.to_pylist())
        yield from (list(run) for _, run in groupby(rows, itemgetter("run")))


def _batches(counts: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of runs that have _BATCH slices together, or are one."""
    held, first = 0, None
    for run, count in counts:
        if first is not None and held + count > _BATCH:
            yield first, run - 1
            held, first = 0, None
        held, first = held + count, run if first is None else first
    if first is not None:
        yield first, counts[-1][0]


def _regions(rows: list[Row]) -> pa.Table:
    """Return the components of the masks of neighbouring slices (schema _REGIONS)."""
    components = Components()
    for row in rows:
        inside = _mask(row)
        if inside is None:
            components.add_unknown(row["said_pixels"] or 0)
        else:
            components.add(inside)
    places, component, pixels = components.parts()
    of_rows = [[rows[at][name] for at in places] for name in ("object_id", "slice_index")]
    columns = [*of_rows, component, pixels]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, _REGIONS, strict=True)], schema=_REGIONS)


def _mask(row: Row) -> NDArray[np.bool_] | None:
    """Return a slice's mask, bool (rows, cols), None for one that is too large or not what its row says."""
    if problem_of({name: row[name] for name in _MASK_COLUMNS}) or row["rows"] * row["cols"] > LARGEST:
        return None
    try:
        found = mask(row)
    except BadRowError:
        return None
    return found if found.any() else None
