"""From committed rows to units, objects or cases, with what is highest in each: the queries."""

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from s2sw.pipeline.evidence.references import SLICES, Past, PValues, Scored, p_values, scored
from s2sw.pipeline.flagging.decisions import VERDICTS
from s2sw.schemas.forms import OBJECT_ID, RUN_OF_A_DAY, WORDS
from s2sw.schemas.tables import RANK

BATCH = 1 << 18  # rows of the past in memory at a time

GROUP = """coalesce("group", concat_ws('/', nullif(modality, ''), nullif(body_part, ''), plane))"""
"""SQL of what a slice is compared with: the group of its profile, else what its modality and plane are."""

# not-a-number is above 1; whoever may write to an output may write any row
SOUND = (
    f"{RANK} BETWEEN 0 AND 1 AND regexp_full_match(object_id, '{OBJECT_ID.pattern}') "
    f"AND regexp_full_match({GROUP}, '{WORDS.pattern}') AND {RUN_OF_A_DAY} "
    f"AND slice_index BETWEEN 0 AND n_slices - 1 AND area_fraction BETWEEN 0 AND 1"
)
"""SQL of rows that a run may have written."""
_ANOMALOUS = f"""
CREATE OR REPLACE TEMP TABLE anomalous AS
SELECT DISTINCT object_id FROM ({VERDICTS}) WHERE anomalous AND object_id IS NOT NULL
"""  # noqa: S608
_PARTS = """
SELECT {unit} AS unit_id, {group} AS "group", count(*) AS length, max({rank}) AS score{more}
FROM {source} WHERE {sound} AND {runs} AND regexp_full_match({unit}, '{id}') GROUP BY ALL
"""
_TOP = """, max({{'score': {rank}, 'before': -slice_index, 'object_id': object_id}}) AS top"""
# a unit with slices in several groups has a p-value for each: the least of k counts k times (Bonferroni);
# least() takes no heed of nulls
_WHOLE = """
SELECT unit_id, "group", n_past, first_night,
    CASE WHEN p IS NOT NULL THEN least(1, p * count(p) OVER alike) END AS p_value,
    CAST(sum(length) OVER whole AS INTEGER) AS n_slices, max(score) OVER whole AS score,
    (max(top) OVER whole).object_id AS object_id,
    CAST(-(max(top) OVER whole).before AS INTEGER) AS slice_index, slice_p AS slice_p_value
FROM parts
WINDOW whole AS (PARTITION BY unit_id), alike AS (PARTITION BY unit_id, first_night)
QUALIFY row_number() OVER (PARTITION BY unit_id ORDER BY p IS NULL, first_night, p, score DESC, "group") = 1
ORDER BY p_value NULLS LAST, score DESC, unit_id
"""


@dataclass(frozen=True)
class UnitKind:
    """What a unit is: SQL of its id, and of the rows of slices that have what the id is made of."""

    unit: str
    source: str = "slices"


OBJECT = UnitKind("object_id")


@dataclass(frozen=True)
class Night:
    """Runs whose units are looked at: those from the first of these names on; earlier ones are their past.

    start: the id of a run, or its beginning: the digits of a day.
    """

    start: str

    @property
    def own(self) -> str:
        """SQL of its rows."""
        return f"run_id >= '{self.start}'"

    @property
    def earlier(self) -> str:
        """SQL of all earlier rows."""
        return f"run_id < '{self.start}'"

    @property
    def past(self) -> str:
        """SQL of earlier rows but for those of objects in which reviewers found an anomaly."""
        return f"{self.earlier} AND object_id NOT IN (FROM anomalous)"


def judged_units(connection: duckdb.DuckDBPyConnection, kind: UnitKind, night: Night) -> pa.Table:
    """Return a night's units, the least p-value first: the columns of _WHOLE.

    connection: with the views ``slices`` and ``decisions``. The slices' own p-values are those of each unit's
    highest slice. What reviewers accepted as an anomaly is no part of the past: a past with as many anomalies
    as tonight's would make them look usual.
    """
    connection.execute(_ANOMALOUS)
    parts = connection.sql(_parts(kind, night.own, _TOP.format(rank=RANK))).to_arrow_table()
    units = scored(parts)
    found = p_values(units, _past(connection, _parts(kind, night.past)))
    slices = _slice_p_values(connection, units, night)
    table = (
        parts.append_column("p", _nulls(found.p))
        .append_column("n_past", pa.array(found.size))
        .append_column("first_night", pa.array(found.first))
        .append_column("slice_p", _nulls(slices.p))
    )
    connection.register("parts", table)
    whole = connection.sql(_WHOLE).to_arrow_table()
    connection.unregister("parts")
    return whole


def _slice_p_values(connection: duckdb.DuckDBPyConnection, units: Scored, night: Night) -> PValues:
    """Return the p-values of the units' highest slices among all slices of their groups."""
    past = past_of(connection, night)
    own = _past(connection, slices_query(night.own))
    alone = Scored(units.groups, units.lengths * 0 + SLICES, units.scores)
    return p_values(alone, past, own)


def slices_query(runs: str, more: str = "") -> str:
    """Return SQL of group, length and score of each slice of some runs. more: columns before these."""
    columns = f'{more}{GROUP} AS "group", {SLICES} AS length, {RANK} AS score'
    return f"SELECT {columns} FROM slices WHERE {SOUND} AND {runs}"  # noqa: S608


def past_of(connection: duckdb.DuckDBPyConnection, night: Night) -> Past:
    """Return the scores of all slices before a night, each for itself."""
    connection.execute(_ANOMALOUS)
    return _past(connection, slices_query(night.past))


def _parts(kind: UnitKind, runs: str, more: str = "") -> str:
    return _PARTS.format(
        unit=kind.unit,
        source=kind.source,
        group=GROUP,
        rank=RANK,
        more=more,
        sound=SOUND,
        runs=runs,
        id=OBJECT_ID.pattern,
    )


def _past(connection: duckdb.DuckDBPyConnection, query: str) -> Past:
    past = Past()
    for batch in connection.sql(query).to_arrow_reader(BATCH):
        past.add(scored(batch))
    return past


def _nulls(numbers: object) -> pa.Array:
    """Return numbers with null for NaN."""
    return pa.array(numbers, pa.float64(), from_pandas=True)
