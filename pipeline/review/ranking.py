"""The ranked worklist: pages by their place in the order, so that none costs more than the first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from s2sw.pipeline.results.checking import bounded, sound
from s2sw.pipeline.review.filters import ORDERS, Condition, FilterError, Filters
from s2sw.pipeline.review.queries import rows_of
from s2sw.schemas.tables import Row

PAGE = 48  # slices of a page; divisible by 2, 3, 4 and 6 columns
NEAR = 4  # rows looked at for a neighbour: more than one, since some may be left out
BINS = 10_000  # fine bins of scores over 0..1
COUNTED = 100  # filters whose counts are kept

COLUMNS = (
    "s.object_id, s.slice_index, s.n_slices, s.plane, s.rows, s.cols, s.score, s.place, s.image_score, "
    's.rank_score, s.rarity_score, s."group", s.map_max, s.area_fraction, s.threshold, s.modality, '
    "s.body_part, s.fingerprint, s.run_id, s.flag_threshold"
)
_ZERO_SHOT = "s.zero_shot_map IS NOT NULL AS has_zero_shot"
IN_FULL = f"{COLUMNS}, s.family_scores, {bounded('s', 'similar_pictures')}, {_ZERO_SHOT}"
"""Columns of a slice that is looked at."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the order: between the slices before it and those after it. value: what is sorted by."""

    value: float
    object_id: str
    slice_index: int

    @classmethod
    def of(cls, row: Row, filters: Filters) -> "Place":
        """Return the place of a slice."""
        column = ORDERS[filters.order][0]
        value = -row[column[1:]] if column.startswith("-") else row[column]
        return cls(value, row["object_id"], row["slice_index"])

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read what ``str`` gives. Raises FilterError."""
        try:
            value, index, object_id = text.split(",", 2)
            return cls(float(value), object_id, np.int32(index).item())
        except (ValueError, OverflowError):
            raise FilterError(f"the place {text[:60]!r} is none: follow the links of the worklist") from None

    def __str__(self) -> str:
        return f"{self.value!r},{self.slice_index},{self.object_id}"

    def behind(self, filters: Filters) -> Condition:
        """Return the condition of slices that come after this one."""
        return self._beyond(filters, "<", ">")

    def before(self, filters: Filters) -> Condition:
        """Return the condition of slices that come before this one."""
        return self._beyond(filters, ">", "<")

    def _beyond(self, filters: Filters, further: str, later: str) -> Condition:
        column = _sorted_by(filters)
        sql = (
            f"{column} {further}= CAST(? AS FLOAT) AND ({column} {further} CAST(? AS FLOAT) "
            f"OR (s.object_id, s.slice_index) {later} (?, ?))"
        )
        return Condition(sql, (self.value, self.value, self.object_id, self.slice_index))


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of the worklist, and whether there are more on both sides.

    left_out: rows between them that no run wrote. start, end: the places of the page's first and last row,
    those included.
    """

    rows: list[Row]
    has_previous: bool
    has_next: bool
    left_out: int = 0
    start: Place | None = None
    end: Place | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Slices that meet a filter. bins: by fine bin of the score (1 / BINS), whatever the score's bounds."""

    total: int
    bins: dict[int, int]


class Worklist:
    """Queries over the view of ranked slices under one filter.

    reviewer: whose decisions are "mine". counted: ``Archive.counted``, as it was before the cursor was made.
    """

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        filters: Filters,
        reviewer: str,
        counted: dict[Filters, Counts] | None = None,
    ) -> None:
        self._known = {} if counted is None else counted
        self._cursor = cursor
        self._filters = filters
        self._reviewer = reviewer

    def page(self, after: Place | None = None, before: Place | None = None, size: int = PAGE) -> Page:
        """Return the page behind a place, the one before a place, or the first one."""
        if before is not None:
            rows = self._rows([before.before(self._filters)], size + 1, backwards=True)
            return self._page(rows[:size][::-1], len(rows) > size, True)
        rows = self._rows([after.behind(self._filters)] if after else [], size + 1)
        return self._page(rows[:size], after is not None, len(rows) > size)

    def _page(self, rows: list[Row], has_previous: bool, has_next: bool) -> Page:
        kept, left_out = sound(rows)
        start, end = (Place.of(rows[place], self._filters) if rows else None for place in (0, -1))
        return Page(kept, has_previous, has_next, left_out, start, end)

    def neighbours(self, row: Row) -> tuple[Row | None, Row | None]:
        """Return the slices before and after one, which need not meet the filter itself."""
        place = Place.of(row, self._filters)
        before, _ = sound(self._rows([place.before(self._filters)], NEAR, backwards=True))
        behind, _ = sound(self._rows([place.behind(self._filters)], NEAR))
        return next(iter(before), None), next(iter(behind), None)

    def rank(self, row: Row) -> int:
        """Return how many slices that meet the filter come before this one."""
        before = Place.of(row, self._filters).before(self._filters)
        where, values = _where(self._filters.conditions(self._reviewer))
        query = f"SELECT count(*) FILTER ({before.sql}) FROM ranked s WHERE {where}"  # noqa: S608
        return int(self._cursor.execute(query, [*before.values, *values]).fetchall()[0][0])

    def counts(self) -> Counts:
        """Count the slices."""
        if self._filters.decision:  # every decision changes it
            return self._counted()
        asked = self._filters.in_any_order()
        found = self._known.get(asked)
        if found is None:
            found = self._counted()
            if len(self._known) >= COUNTED:
                self._known.clear()
            self._known[asked] = found
        return found

    def _counted(self) -> Counts:
        bounds, in_bounds = _where(self._filters.bounds())
        where, values = _where(self._filters.conditions(self._reviewer, scores=False))
        query = (
            # scores below 0, which no run wrote, are one bin, however many there are
            f"SELECT greatest(least(TRY_CAST(floor(s.score * {BINS}) AS INTEGER), {BINS - 1}), -1) AS bin, "  # noqa: S608
            f"count(*), count(*) FILTER ({bounds}) FROM ranked s WHERE {where} GROUP BY bin"
        )
        found = self._cursor.execute(query, [*in_bounds, *values]).fetchall()
        bins = {place: count for place, count, _ in found if place >= 0}
        return Counts(sum(count for _, _, count in found), bins)

    def _rows(self, more: list[Condition], limit: int, backwards: bool = False) -> list[Row]:
        where, values = _where([*self._filters.conditions(self._reviewer), *more])
        column = _sorted_by(self._filters)
        order = (
            f"{column} ASC, s.object_id DESC, s.slice_index DESC"
            if backwards
            else f"{column} DESC, s.object_id, s.slice_index"
        )
        query = f"SELECT {COLUMNS} FROM ranked s WHERE {where} ORDER BY {order} LIMIT {limit:d}"  # noqa: S608
        return rows_of(self._cursor, query, values)


def bars(counts: Mapping[int, int], most: int = 60) -> list[tuple[float, float, int]]:
    """Return at most so many bars of equal, round width over fine bins: from, to, number of slices."""
    if not counts:
        return []
    low, high = min(counts), max(counts)
    steps = sorted(factor * 10**power for power in range(5) for factor in (1, 2, 5))
    step = next(step for step in steps if high // step - low // step < most)
    totals: dict[int, int] = {}
    for place, count in counts.items():
        totals[place // step] = totals.get(place // step, 0) + count
    places = range(low // step, high // step + 1)
    return [(p * step / BINS, (p + 1) * step / BINS, totals.get(p, 0)) for p in places]


def _sorted_by(filters: Filters) -> str:
    column = ORDERS[filters.order][0]
    return f"-s.{column[1:]}" if column.startswith("-") else f"s.{column}"


def _where(conditions: list[Condition]) -> tuple[str, list[Any]]:
    return " AND ".join(f"({c.sql})" for c in conditions) or "true", [v for c in conditions for v in c.values]
