"""From committed rows to a night's units, objects or cases, with what is highest in each, and p-values."""

import duckdb
import pyarrow as pa

from s2sw.pipeline.evidence.distributions import BATCH, past_of
from s2sw.pipeline.evidence.references import SLICES, Past, PValues, Scored, p_values, scored
from s2sw.pipeline.evidence.rows import SLICE, TOP, Night, UnitKind
from s2sw.pipeline.results.reading import Results

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


def judged_units(
    connection: duckdb.DuckDBPyConnection, kind: UnitKind, night: Night, results: Results
) -> pa.Table:
    """Return a night's units, the least p-value first: the columns of _WHOLE.

    connection: of these results, with the view ``decisions``. The slices' own p-values are those of each
    unit's highest slice. What reviewers accepted as an anomaly is no part of the past: a past with as many
    anomalies as tonight's would make them look usual.
    """
    parts = connection.sql(kind.query(night.own, more=TOP)).to_arrow_table()
    units = scored(parts)
    found = p_values(units, past_of(connection, kind, night, results.output, results.fingerprint))
    slices = _slice_p_values(connection, units, night, results)
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


def _slice_p_values(
    connection: duckdb.DuckDBPyConnection, units: Scored, night: Night, results: Results
) -> PValues:
    """Return the p-values of the units' highest slices among all slices of their groups."""
    past = past_of(connection, SLICE, night, results.output, results.fingerprint)
    own = Past()
    for batch in connection.sql(SLICE.query(night.own)).to_arrow_reader(BATCH):
        own.add(scored(batch))
    alone = Scored(units.groups, units.lengths * 0 + SLICES, units.scores)
    return p_values(alone, past, own)


def _nulls(numbers: object) -> pa.Array:
    """Return numbers with null for NaN."""
    return pa.array(numbers, pa.float64(), from_pandas=True)
