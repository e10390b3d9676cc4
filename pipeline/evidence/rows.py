"""Rows of slices as what is compared: each slice for itself, or the highest of an object or a case."""

from dataclasses import dataclass

from s2sw.pipeline.evidence.references import SLICES
from s2sw.schemas.forms import OBJECT_ID, RUN_OF_A_DAY, WORDS
from s2sw.schemas.tables import RANK

GROUP = """coalesce("group", concat_ws('/', nullif(modality, ''), nullif(body_part, ''), plane))"""
"""SQL of what a slice is compared with: the group of its profile, else what its modality and plane are."""

# not-a-number is above 1; whoever may write to an output may write any row
SOUND = (
    f"{RANK} BETWEEN 0 AND 1 AND regexp_full_match(object_id, '{OBJECT_ID.pattern}') "
    f"AND regexp_full_match({GROUP}, '{WORDS.pattern}') AND {RUN_OF_A_DAY} "
    f"AND slice_index >= 0 AND slice_index < n_slices AND area_fraction BETWEEN 0 AND 1"
)
"""SQL of rows that a run may have written."""
_PARTS = """
SELECT {unit} AS unit_id, {group} AS "group", count(*) AS length, max({rank}) AS score{more}
FROM {source} WHERE {sound} AND {runs} AND regexp_full_match({unit}, '{id}') GROUP BY ALL
"""


@dataclass(frozen=True)
class UnitKind:
    """What a unit is.

    name: in names of files. unit: SQL of its id; of a slice, which is compared for itself, "". source: SQL of
    rows of slices that have what the id is made of, ``{slices}`` and ``{objects}`` in place of the views.
    """

    name: str
    unit: str
    source: str = "{slices}"

    def query(self, runs: str, slices: str = "slices", objects: str = "objects", more: str = "") -> str:
        """Return SQL of group, length and score of each unit of some runs (SQL). more: columns beside these.

        A unit has a row for each of its groups.
        """
        source = self.source.format(slices=slices, objects=objects)
        if not self.unit:
            columns = f'{more}{GROUP} AS "group", {SLICES} AS length, {RANK} AS score'
            return f"SELECT {columns} FROM {source} WHERE {SOUND} AND {runs}"  # noqa: S608
        return _PARTS.format(
            unit=self.unit, group=GROUP, rank=RANK, more=more, source=source, sound=SOUND, runs=runs,
            id=OBJECT_ID.pattern,
        )  # fmt: skip


SLICE = UnitKind("slice", "")
OBJECT = UnitKind("object", "object_id")
TOP = f", max({{'score': {RANK}, 'before': -slice_index, 'object_id': object_id}}) AS top"
"""Columns of the highest slice of a unit, for ``UnitKind.query``."""


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
