"""Which groups of an archive have changed: a night beside a reference that leaves out the days before it.

Objects are compared, by the means of their slices: slices of a volume are too alike to count each for itself.
Distributions differ by Kolmogorov and Smirnov's two-sample test, shares by Fisher's exact one; p-values are
corrected for all that is compared (Holm, Scand. J. Stat. 6, 1979). A change counts if it is sure and large.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import fisher_exact, ks_2samp

from s2sw.pipeline.evidence.rows import GROUP, SOUND
from s2sw.pipeline.results.reading import Results
from s2sw.schemas.forms import RUN_OF_A_DAY, WORDS
from s2sw.schemas.layout import day_of
from s2sw.schemas.tables import RANK

LEFT_OUT, REFERENCE = 3, 60
"""Days before the night that are left out, so that a slow change shows; days of the reference before them."""
LEAST = 30
"""Objects of a group, in the night and in the reference."""
ALPHA = 0.005
"""Probability of any false alarm in a night where nothing changed."""
LEAST_DISTANCE, LEAST_SHARE = 0.1, 0.02
"""Kolmogorov-Smirnov distance, and difference of shares, below which a change is too small to tell of."""
MOST = 1_000_000
"""Slices to compare, above which one object in two, three and so on is looked at."""
MEASURES = ("score", "brightness", "sharpness", "size")
QUARANTINED, EVERYTHING = "quarantined", "all"

Values = NDArray[np.float64]

_OBJECTS = f"""
SELECT kind AS "group", left(run_id, 8) AS day, run_id = ? AS own, avg(score) AS score,
    avg(brightness) AS brightness, avg(sharpness) AS sharpness, avg(size) AS size
FROM (
    SELECT {GROUP} AS kind, run_id, object_id, {RANK} AS score, brightness, sharpness,
        CAST(rows AS DOUBLE) * cols AS size
    FROM slices WHERE {SOUND} AND (run_id = ? OR left(run_id, 8) BETWEEN ? AND ?) AND hash(object_id) % ? = 0
) GROUP BY kind, run_id, object_id
"""  # noqa: S608
_COUNT = "SELECT count(*) FROM slices WHERE run_id = ? OR left(run_id, 8) BETWEEN ? AND ?"
_NIGHTLY = f"""
SELECT left(run_id, 8) AS day, avg(score) AS score, avg(brightness) AS brightness,
    avg(sharpness) AS sharpness, avg(size) AS size
FROM (
    SELECT {GROUP} AS kind, run_id, object_id, {RANK} AS score, brightness, sharpness,
        CAST(rows AS DOUBLE) * cols AS size
    FROM slices WHERE {SOUND} AND run_id >= ? AND run_id <= ?
) WHERE kind = ? GROUP BY run_id, object_id ORDER BY day
"""  # noqa: S608
# what is quarantined has no group: its format and its site are known. Of one format or site all is said once
_SHARES = f"""
WITH found AS (
    SELECT run_id = ? AS own, status = 'quarantined' AS bad,
        unnest(['{EVERYTHING}', nullif(decoder, '') || ' files', 'site ' || site]) AS kind
    FROM objects WHERE {RUN_OF_A_DAY} AND (run_id = ? OR left(run_id, 8) BETWEEN ? AND ?)
)
SELECT kind, count(*) FILTER (own AND bad), count(*) FILTER (own), count(*) FILTER (NOT own AND bad),
    count(*) FILTER (NOT own)
FROM found WHERE regexp_full_match(kind, '{WORDS.pattern}') GROUP BY kind ORDER BY kind
"""  # noqa: S608


@dataclass(frozen=True)
class Change:
    """How a measure of a group differs from its reference.

    before, now: medians, or shares. effect: distance of the distributions or difference of the shares, 0..1.
    p_value: corrected for all that was compared. since: the first day of the change as far as looked at.
    """

    group: str
    measure: str
    before: float
    now: float
    effect: float
    p_value: float
    objects: int
    reference: int
    since: date | None = None

    @property
    def moved(self) -> bool:
        """Whether the change is sure and large."""
        least = LEAST_SHARE if self.measure == QUARANTINED else LEAST_DISTANCE
        return self.p_value <= ALPHA and self.effect >= least

    def words(self) -> str:
        """Say it in a few words."""
        since = f" since {self.since}" if self.since else ""
        return f"{self.group} {self.measure} {self.before:.4g} -> {self.now:.4g}{since}"


def drift(results: Results, run_id: str) -> list[Change]:
    """Return how a run's groups differ from their past, what is surest first."""
    night = day_of(run_id)
    if night is None:
        return []
    last = night - timedelta(days=LEFT_OUT + 1)
    first = last - timedelta(days=REFERENCE - 1)
    between = [run_id, run_id, f"{first:%Y%m%d}", f"{last:%Y%m%d}"]
    recent = [run_id, run_id, f"{night - timedelta(days=LEFT_OUT):%Y%m%d}", f"{night:%Y%m%d}"]
    connection = results.connect()
    found = list(_groups(*(_objects(connection, days) for days in (between, recent))))
    shares = {kind: tuple(counts) for kind, *counts in connection.sql(_SHARES, params=between).fetchall()}
    parts = {kind: counts for kind, counts in shares.items() if counts != shares[EVERYTHING]}
    whole = {EVERYTHING: shares[EVERYTHING]} if shares else {}
    return corrected([*found, *share_changes({**whole, **parts})])


def _objects(connection: duckdb.DuckDBPyConnection, days: list[str]) -> pa.Table:
    """Return the objects of a night and of some days, in a table whose size is bounded."""
    ((count,),) = connection.execute(_COUNT, days[1:]).fetchall()
    return connection.sql(_OBJECTS, params=[*days, max(1, math.ceil(count / MOST))]).to_arrow_table()


def by_day(results: Results, group: str, first: str, last: str) -> pa.Table:
    """Return day and all MEASURES of each object of a group, of runs from a day to another run."""
    return results.connect().sql(_NIGHTLY, params=[first, last, group]).to_arrow_table()


def sentence(changes: Sequence[Change]) -> str:
    """Say in one line which groups moved."""
    moved = [change.words() for change in changes if change.moved]
    if not changes:
        return (
            f"Drift: nothing to compare with yet ({LEAST} objects of a group, {LEFT_OUT} days ago or earlier)"
        )
    return f"Drift: {'; '.join(moved)}" if moved else f"Drift: none in {len(changes)} comparisons"


def _groups(table: pa.Table, recent: pa.Table) -> Iterator[Change]:
    groups = table["group"].to_numpy(zero_copy_only=False).astype(str)
    own = table["own"].to_numpy(zero_copy_only=False).astype(bool)
    late = recent["group"].to_numpy(zero_copy_only=False).astype(str)
    days = recent["day"].to_numpy(zero_copy_only=False).astype(str)
    measured = {
        measure: [one[measure].to_numpy(zero_copy_only=False).astype(np.float64) for one in (table, recent)]
        for measure in MEASURES
    }
    for name in np.unique(groups[own]):
        here = groups == name
        of_day = {day: (late == name) & (days == day) for day in np.unique(days).tolist()}
        for measure, (values, later) in measured.items():
            change = compare(str(name), measure, values[here & ~own], values[here & own])
            if change is not None:
                by_day = {day: later[rows] for day, rows in of_day.items()}
                yield _dated(change, values[here & ~own], by_day)


def compare(group: str, measure: str, before: Values, now: Values) -> Change | None:
    """Return how a measure changed, None where objects are too few. Its p-value is not corrected yet."""
    before, now = before[np.isfinite(before)], now[np.isfinite(now)]
    if min(len(before), len(now)) < LEAST:
        return None
    found = ks_2samp(before, now, method="asymp")
    medians = float(np.median(before)), float(np.median(now))
    return Change(
        group, measure, *medians, float(found.statistic), float(found.pvalue), len(now), len(before)
    )


def share_changes(counts: Mapping[str, tuple[int, ...]]) -> Iterator[Change]:
    """Yield how shares of quarantined objects changed.

    counts: by what they are of (all, a format, a site) those of the night that are quarantined, all of the
    night, and the same two of the reference.
    """
    for kind, (bad, every, bad_before, every_before) in counts.items():
        if min(every, every_before) < LEAST:
            continue
        table = np.array([[bad, every - bad], [bad_before, every_before - bad_before]])
        now, before = bad / every, bad_before / every_before
        p = float(fisher_exact(table).pvalue)
        yield Change(kind, QUARANTINED, before, now, abs(now - before), p, every, every_before)


def corrected(changes: Sequence[Change]) -> list[Change]:
    """Return the changes with p-values corrected for their number, the least first."""
    ordered = sorted(changes, key=lambda change: (change.p_value, -change.effect))
    made, least = [], 0.0
    for place, change in enumerate(ordered):
        least = min(1.0, max(least, change.p_value * (len(ordered) - place)))
        made.append(replace(change, p_value=least))
    return made


def _dated(change: Change, before: Values, by_day: Mapping[str, Values]) -> Change:
    """Return the change with the first of the last days that all differ at least half as much."""
    since = None
    for day in sorted(by_day, reverse=True):
        there = compare(change.group, change.measure, before, by_day[day])
        if there is None or there.effect < change.effect / 2:
            break
        since = date(int(day[:4]), int(day[4:6]), int(day[6:]))
    return replace(change, since=since)
