"""What a reviewer asked to see, from the address of the page to conditions in SQL and back."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, TypeVar
from urllib.parse import urlencode

from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.forms import is_object_id

T = TypeVar("T")

ORDERS = {
    "score": ("place", "highest score first"),
    "peak": ("map_max", "highest point of the map first"),
    "area": ("area_fraction", "largest area first"),
    "low": ("-place", "lowest score first"),
}
"""Orders of the worklist: what is sorted by, the largest first, and how the page calls it."""

DECIDED = {
    "": "any",
    "open": "not decided by me",
    "none": "decided by nobody",
    DecisionKind.ACCEPT.value: "accepted",
    DecisionKind.REJECT.value: "rejected",
    DecisionKind.UNSURE.value: "unsure",
    "disputed": "reviewers differ",
}
"""Filters by decision and how the page calls them."""

_SLICE = "(s.object_id, s.slice_index)"
_SAID = "SELECT object_id, slice_index FROM said"
_HIGHEST = (
    "SELECT object_id, coalesce(max_rank_slice, max_slice) FROM objects "
    "WHERE n_slices > 1 AND fingerprint = ?"
)


class FilterError(ValueError):
    """The address of a page asks for what cannot be; the message names the field and its value."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of SQL over the view of slices, named ``s``, and its parameters in order."""

    sql: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Filters:
    """Which slices, in which order. Texts are empty and the others None where nothing was asked for.

    settings: the fingerprint that scores were made under. low, high: score, 0..1. first, last: days
    (UTC) on which the run began. highest: of each volume its highest slice only. flagged: only those
    that reach the threshold in force. stay: do not go on to the next slice after a decision. case: the id of
    the case that slices are looked at for; every: cases that are not on the list are shown too.
    """

    settings: str = ""
    low: float | None = None
    high: float | None = None
    first: date | None = None
    last: date | None = None
    site: str = ""
    modality: str = ""
    decision: str = ""
    order: str = "score"
    highest: bool = False
    flagged: bool = False
    stay: bool = False
    case: str = ""
    every: bool = False

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> "Filters":
        """Read the fields of a page's address. Raises FilterError."""
        filters = cls(
            settings=fields.get("settings", ""),
            low=_read(fields, "low", _share, "a number from 0 to 1"),
            high=_read(fields, "high", _share, "a number from 0 to 1"),
            first=_read(fields, "first", date.fromisoformat, "a day such as 2026-07-31"),
            last=_read(fields, "last", date.fromisoformat, "a day such as 2026-07-31"),
            site=fields.get("site", ""),
            modality=fields.get("modality", ""),
            decision=fields.get("decision", ""),
            order=fields.get("order") or "score",
            highest=fields.get("highest") == "1",
            flagged=fields.get("flagged") == "1",
            stay=fields.get("stay") == "1",
            case=fields.get("case", ""),
            every=fields.get("every") == "1",
        )
        _one_of("decision", filters.decision, DECIDED)
        _one_of("order", filters.order, ORDERS)
        if filters.case and not is_object_id(filters.case):
            raise FilterError(f"case is {filters.case[:40]!r}: the id of a case is expected")
        return filters

    def query(self, **changes: Any) -> str:
        """Return the part of an address that asks for the same, with changes, from ``?`` on; may be empty."""
        changed = replace(self, **{k: v for k, v in changes.items() if k in asdict(self)})
        fields = {name: _text(value) for name, value in asdict(changed).items()}
        fields |= {k: _text(v) for k, v in changes.items() if k not in fields}
        said = {name: text for name, text in fields.items() if text and (name, text) != ("order", "score")}
        return f"?{urlencode(said)}" if said else ""

    def in_any_order(self) -> "Filters":
        """Return a filter that lets the same slices through, the same one whatever is done with them."""
        return replace(self, order=next(iter(ORDERS)), stay=False, case="", every=False)

    def conditions(self, reviewer: str, *, scores: bool = True) -> list[Condition]:
        """Return what the slices have to meet. scores: with the bounds of the score."""
        found = [Condition("s.fingerprint = ?", (self.settings,)), *(self.bounds() if scores else [])]
        found += _days(self.first, self.last)
        if self.site:
            found.append(Condition("s.site = ?", (self.site,)))
        if self.modality:
            found.append(Condition("s.modality = ?", ("" if self.modality == "none" else self.modality,)))
        if self.highest:
            found.append(Condition(f"s.n_slices = 1 OR {_SLICE} IN ({_HIGHEST})", (self.settings,)))
        if self.flagged:
            found.append(Condition("s.score >= s.flag_threshold"))
        return [*found, *self._decided(reviewer)]

    def bounds(self) -> list[Condition]:
        """Return what the score has to meet."""
        found = []
        if self.low is not None:
            found.append(Condition("s.score >= CAST(? AS FLOAT)", (self.low,)))
        if self.high is not None:
            found.append(Condition("s.score <= CAST(? AS FLOAT)", (self.high,)))
        return found

    def _decided(self, reviewer: str) -> list[Condition]:
        if not self.decision:
            return []
        # not as NOT EXISTS, for which DuckDB first collects every slice that there is
        if self.decision == "open":
            return [Condition(f"{_SLICE} NOT IN ({_SAID} WHERE reviewer = ?)", (reviewer,))]
        if self.decision == "none":
            return [Condition(f"{_SLICE} NOT IN ({_SAID})")]
        if self.decision == "disputed":
            return [Condition(f"{_SLICE} IN ({_SAID} GROUP BY ALL HAVING count(DISTINCT decision) > 1)")]
        return [Condition(f"{_SLICE} IN ({_SAID} WHERE decision = ?)", (self.decision,))]


def flag_thresholds(flag: FlagSettings, filters: Filters) -> list[float]:
    """Return the scores from which slices that may meet the filter are flagged, the lowest first."""
    fitting = [
        group.threshold
        for group in flag.groups
        if group.site in (None, filters.site or group.site)
        and group.modality in (None, filters.modality or group.modality)
    ]
    return sorted({*fitting, *([] if flag.threshold is None else [flag.threshold])})


def _days(first: date | None, last: date | None) -> list[Condition]:
    """Compare the ids of runs, which begin with the day: each file knows the range of its own."""
    found = []
    if first:
        found.append(Condition("s.run_id >= ?", (_digits(first),)))
    if last:
        found.append(Condition("s.run_id < ?", (f"{_digits(last)}~",)))
    return found


def _digits(day: date) -> str:
    return day.isoformat().replace("-", "")


def _read(fields: Mapping[str, str], name: str, read: Callable[[str], T], expected: str) -> T | None:
    text = fields.get(name, "").strip()
    if not text:
        return None
    try:
        return read(text)
    except ValueError:
        raise FilterError(f"{name} is {text[:40]!r}: {expected} is expected") from None


def _share(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError
    return value


def _one_of(name: str, value: str, known: Mapping[str, object]) -> None:
    if value not in known:
        expected = ", ".join(filter(None, known))
        raise FilterError(f"{name} is {value[:40]!r}: one of {expected} is expected")


def _text(value: object) -> str:
    if value is None or value is False:
        return ""
    return "1" if value is True else f"{value:.9g}" if isinstance(value, float) else str(value)
