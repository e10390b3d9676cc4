"""What reviewers' decisions say of the worklists that were written: how many objects are anomalies."""

from dataclasses import dataclass
from itertools import pairwise

import duckdb
import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.flagging.decisions import VERDICTS, decisions
from s2sw.pipeline.flagging.thresholds import Interval, clopper_pearson
from s2sw.schemas.forms import PART
from s2sw.schemas.layout import WORKLIST_FOLDER

DECIDED = 0.9
"""Share of lists that was decided on, from which decisions say what the lists are worth."""
NOT_WORTH = 0.05
"""Share of anomalies up to which a part of a list is not worth opening."""
_COLUMNS = ["object_id", "fingerprint", "run_id", "rank", "q_value"]
# an object is an anomaly if one of its slices is
_DECIDED = f"""
WITH objects AS (SELECT object_id, bool_or(anomalous) AS anomalous FROM ({VERDICTS}) GROUP BY object_id)
SELECT count(*), count(anomalous), count(*) FILTER (anomalous), count(DISTINCT run_id), max(q_value)
FROM lists LEFT JOIN objects USING (object_id)
WHERE fingerprint = $fingerprint
    AND CASE WHEN $fdr IS NULL THEN rank > $above AND rank <= $budget ELSE q_value <= $fdr END
"""  # noqa: S608


@dataclass(frozen=True)
class Reviewed:
    """Objects of lists, and decided ones. claimed: the highest share of false alarms that a list claimed."""

    listed: int
    decided: int
    anomalies: int
    nights: int
    claimed: float | None

    @property
    def precision(self) -> float:
        """The share of anomalies among decided objects."""
        return self.anomalies / self.decided if self.decided else 0.0

    @property
    def interval(self) -> Interval:
        """The exact interval of the precision, of 95 %."""
        return clopper_pearson(self.anomalies, self.decided) if self.decided else (0.0, 1.0)

    def shows(self, fdr: float) -> bool:
        """Tell whether decisions on nearly all of the lists show that no more of them are false alarms."""
        return self.decided >= DECIDED * max(1, self.listed) and self.interval[0] >= 1 - fdr

    @property
    def verdict(self) -> str:
        """Say whether the decisions bear out what was claimed."""
        if self.claimed is None or not self.decided:
            return ""
        low, high = self.interval
        if high < 1 - self.claimed:
            return "more false alarms than claimed"
        return "fewer false alarms than claimed" if low > 1 - self.claimed else "as claimed"


@dataclass(frozen=True)
class Band:
    """Objects of these ranks of each night's list, and what was decided of them."""

    first: int
    last: int
    found: Reviewed

    @property
    def is_empty(self) -> bool:
        """Whether decisions on nearly all of it show that hardly any is an anomaly."""
        return (
            self.found.decided >= DECIDED * max(1, self.found.listed) and self.found.interval[1] <= NOT_WORTH
        )


def reviewed(
    output: OutputFolder, fingerprint: str, budget: int, fdr: tuple[float | None, ...] = (None,)
) -> tuple[list[Reviewed], list[Band]]:
    """Return what was decided of each night's objects up to a q-value; None: of its best so many.

    Beside it what was decided in each quarter of the budget.
    """
    edges = sorted({round(budget * quarter / 4) for quarter in range(5)})
    with duckdb.connect() as connection:
        connection.register("lists", _lists(output))
        connection.register("decisions", decisions(output))

        def decided(last: int, limit: float | None = None, above: int = 0) -> Reviewed:
            values = {"fingerprint": fingerprint, "budget": last, "fdr": limit, "above": above}
            return Reviewed(*connection.execute(_DECIDED, values).fetchall()[0])

        quarters = [Band(above + 1, last, decided(last, above=above)) for above, last in pairwise(edges)]
        return [decided(budget, limit) for limit in fdr], quarters


def advice(nightly: list[Band]) -> str:
    """Say which budget to use: shorter by the last quarters that are empty."""
    kept = list(nightly)
    while len(kept) > 1 and kept[-1].is_empty:
        kept.pop()
    budget, last = kept[-1].last, kept[-1].found
    if len(kept) < len(nightly):
        rest = nightly[len(kept)]
        return (
            f"Use --budget {budget:,}: at ranks {rest.first:,} to {rest.last:,} at most "
            f"{rest.found.interval[1]:.1%} are anomalies."
        )
    if last.interval[0] > NOT_WORTH:
        return (
            f"Use --budget {budget:,} or more: at its end, ranks {kept[-1].first:,} to {budget:,}, "
            f"{last.precision:.1%} are anomalies."
        )
    return f"Use --budget {budget:,}: too little is known of its end."


def _lists(output: OutputFolder) -> pa.Table:
    """Return the rows of all worklists that were written."""
    kinds = [pa.string(), pa.string(), pa.string(), pa.int32(), pa.float64()]
    schema = pa.schema(list(zip(_COLUMNS, kinds, strict=True)))
    names = [name for name in output.names(WORKLIST_FOLDER) if PART.fullmatch(name)]
    tables = [output.read_columns(name, _COLUMNS).select(_COLUMNS).cast(schema) for name in names]
    return pa.concat_tables([schema.empty_table(), *tables])
