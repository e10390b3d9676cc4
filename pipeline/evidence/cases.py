"""From slices to cases: what a reader opens at once, its findings, and what was said of it before."""

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from s2sw.pipeline.evidence.findings import FOUND, mark
from s2sw.pipeline.evidence.rows import SOUND, Night, UnitKind
from s2sw.pipeline.evidence.units import judged_units
from s2sw.pipeline.evidence.worklist import Worklist, connected, listed
from s2sw.pipeline.results.reading import Results
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.tables import CASES, RANK

WORST = 3
"""Slices that are named of a case."""

CASE_ID = "coalesce(study_id, case_id, object_id)"
"""SQL of the id of an object's case: its study, what ``groups.case`` finds in its address, or itself."""
PERSON_ID = "coalesce(case_id, study_id, object_id)"
"""SQL of what earlier objects share that tell of the same: the patient, the lot."""
_JOINED = (
    "(SELECT s.*, study_id, case_id, series_id FROM {slices} s "
    "JOIN {objects} o USING (object_id, fingerprint, run_id))"
)
_SERIES_ID = "coalesce(series_id, study_id, case_id, object_id)"
CASES_BY = {
    "study": UnitKind("case", CASE_ID, _JOINED),
    "patient": UnitKind("patient", PERSON_ID, _JOINED),
    "series": UnitKind("series", _SERIES_ID, _JOINED),
}
"""What a case is, by ``flag.cases``; of objects without it the next that they have, at last the object."""
_STUDY = "WHEN max(study_id) IS NOT NULL THEN 'study'"
_LEVELS = {
    "study": _STUDY,
    "patient": f"WHEN max(case_id) IS NOT NULL AND max(study_id) IS NOT NULL THEN 'patient' {_STUDY}",
    "series": f"WHEN max(series_id) IS NOT NULL THEN 'series' {_STUDY}",
}


def kind_of(levels: Iterable[str]) -> UnitKind:
    """Return what a list calls a case, by what its rows say that they are (``level``)."""
    found = set(levels)
    return CASES_BY[next((name for name in ("patient", "series") if name in found), "study")]


def _rows(unit: str) -> str:
    """Return SQL of the rows of slices as findings and details read them. unit: SQL of the id of a case."""
    return f"""
CREATE OR REPLACE TEMP VIEW case_rows AS
SELECT {unit} AS unit_id, {PERSON_ID} AS person, study_id, case_id, series_id, object_id, run_id, plane,
    slice_index, rows, cols, instance_number, {RANK} AS score, area_fraction,
    CAST(area_fraction AS DOUBLE) * rows * cols AS pixels,
    pixel_spacing[1] * pixel_spacing[2] AS pixel_area, image_orientation AS o,
    list_transform(image_orientation[:6], lambda x: round(x, 2))::VARCHAR AS directions,
    (o[2] * o[6] - o[3] * o[5]) * image_position[1] + (o[3] * o[4] - o[1] * o[6]) * image_position[2]
        + (o[1] * o[5] - o[2] * o[4]) * image_position[3] AS said_height,
    CASE WHEN isfinite(said_height) THEN said_height END AS height
FROM {_JOINED.format(slices="slices", objects="objects")} WHERE {SOUND}
"""  # noqa: S608


_DETAILS = """
WITH own AS (FROM case_rows WHERE {own}),
found AS ({found}), whole AS (
    SELECT unit_id, min(person) AS person, max(score) AS highest, count(DISTINCT object_id) AS n_objects,
        CASE {level} WHEN max(case_id) IS NOT NULL THEN 'case' ELSE 'object' END AS level
    FROM own GROUP BY unit_id
), best AS (
    FROM own
    QUALIFY row_number() OVER (PARTITION BY unit_id ORDER BY score DESC, object_id, slice_index) <= {worst}
), highest AS (
    SELECT unit_id, list({{'object_id': object_id, 'slice_index': slice_index, 'score': score}}
        ORDER BY score DESC, object_id, slice_index) AS worst
    FROM best GROUP BY unit_id
), earlier AS (
    SELECT person, run_id AS earlier_run, max(score) AS earlier_score FROM case_rows
    WHERE {earlier} AND person IN (SELECT person FROM whole)
    GROUP BY person, run_id QUALIFY run_id = max(run_id) OVER (PARTITION BY person)
)
SELECT unit_id AS case_id, level, n_objects, worst, coalesce(n_findings, 0) AS n_findings,
    coalesce(findings, []) AS findings, earlier_run, earlier_score, highest - earlier_score AS change
FROM whole JOIN highest USING (unit_id) LEFT JOIN found USING (unit_id) LEFT JOIN earlier USING (person)
"""


def case_worklist(results: Results, run_id: str, size: FlagSettings, since: str = "") -> Worklist:
    """Return the worklist of a run's cases, or of all from a day on (the digits of a date)."""
    connection, night, by = connected(results), Night(since or run_id), size.cases
    units = judged_units(connection, CASES_BY[by], night, results).rename_columns({"unit_id": "case_id"})
    return listed(_with_details(connection, units, night, by), run_id, results.fingerprint, size, CASES)


def _with_details(connection: duckdb.DuckDBPyConnection, units: pa.Table, night: Night, by: str) -> pa.Table:
    """Return the units, in their order, with what a reader is told of each. by: of CASES_BY."""
    connection.execute(_rows(CASES_BY[by].unit))
    mark(connection, night.own)
    details = _DETAILS.format(
        own=night.own, earlier=night.earlier, worst=WORST, found=FOUND, level=_LEVELS[by]
    )
    numbered = units.append_column("place", pa.array(range(len(units)), pa.int64()))
    connection.register("units", numbered)
    return connection.sql(f"FROM units JOIN ({details}) USING (case_id) ORDER BY place").to_arrow_table()
