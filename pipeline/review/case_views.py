"""What the page tells of cases: why each is there, what was said of it before, how much is done."""

from dataclasses import replace
from typing import Any

import pyarrow as pa

from s2sw.pipeline.review.archive import Archive
from s2sw.pipeline.review.cases import CaseFilter, CaseList, Cases
from s2sw.pipeline.review.decision_log import DecisionLog
from s2sw.pipeline.review.filters import Filters
from s2sw.pipeline.review.ranking import IN_FULL
from s2sw.pipeline.review.volumes import Volume, Volumes
from s2sw.schemas.tables import Row

DECIDED = {"": "any", "open": "not decided by me", "none": "decided by nobody"}
"""Filters of cases by decision."""


class CaseViews:
    """Gives the templates what they show of cases. Safe for several threads."""

    def __init__(
        self, case_list: CaseList, archive: Archive, decision_log: DecisionLog, volumes: Volumes
    ) -> None:
        self._list = case_list
        self._volumes = volumes
        self._archive = archive
        self._log = decision_log
        self._known: tuple[object, pa.Table, dict[str, list[str]]] | None = None

    def page(self, filters: Filters, after: int, before: int) -> dict[str, Any]:
        """Return what the list of cases shows: ``listing`` is None where there is no list."""
        cases, said = self._cases(filters)
        if cases is None:
            slices = self._archive.slices_of(filters.settings)
            return {"listing": None, "rows": [], "slices": slices}
        progress = cases.progress()
        chosen = _chosen(filters)
        if not progress.listed:  # as in the first nights, which have no past
            chosen = replace(chosen, every=True)
        page = cases.page(chosen, after, before)
        places = [(row["worst"][0]["object_id"], row["worst"][0]["slice_index"]) for row in page.rows]
        worst = self._archive.slice_rows(places, filters.settings)
        rows = [
            {**row, "top": worst.get(place), "said": said.get(row["case_id"], [])}
            for row, place in zip(page.rows, places, strict=True)
        ]
        return {
            "listing": cases,
            "rows": [row for row in rows if row["top"] is not None],
            "gone": sum(row["top"] is None for row in rows),
            "page": page,
            "progress": progress,
        }

    def case(self, filters: Filters, row: Row, volume: Volume | None) -> dict[str, Any]:
        """Return what the page of a slice shows of its case: ``case`` is None where it was not asked for.

        row: of the slice, the columns IN_FULL; volume: that it is part of.
        """
        found = self._one(filters)
        if found is None:
            return {"case": None}
        cases, case = found
        place = case["worst"][0]["object_id"], case["worst"][0]["slice_index"]
        top: Row | None = row
        if place != (row["object_id"], row["slice_index"]):
            top = self._archive.slice_row(*place, filters.settings, IN_FULL)
        return {
            "case": case,
            "top": top,
            "families": self._families(top) if top else [],
            "before": self._prior(case, volume),
            "progress": cases.progress(),
            "around": _around(cases, case, filters),
        }

    def neighbours(self, filters: Filters) -> tuple[Row | None, Row | None]:
        """Return the cases before and behind the one that is looked at."""
        found = self._one(filters)
        return _around(*found, filters) if found else (None, None)

    def _one(self, filters: Filters) -> tuple[Cases, Row] | None:
        if not filters.case:
            return None
        cases, _ = self._cases(filters)
        case = cases.one(filters.case) if cases else None
        return (cases, case) if cases and case else None

    def _cases(self, filters: Filters) -> tuple[Cases | None, dict[str, list[str]]]:
        """Return the list, and what reviewers said of each case."""
        said: dict[str, list[str]] = {}

        def decided(unit: str) -> pa.Table:
            table, kinds = self._said(filters.settings, unit)
            said.update(kinds)
            if filters.decision == "open":
                table = table.filter([one == self._log.reviewer for one in table["reviewer"].to_pylist()])
            return table

        return self._list.of(filters.settings, decided), said

    def _said(self, fingerprint: str, unit: str) -> tuple[pa.Table, dict[str, list[str]]]:
        """Return what ``CaseList.decided`` does, and the kinds of decisions by case.

        They are found again where a run or a reviewer has added something.
        """
        self._log.refresh()
        key = (fingerprint, self._log.version, self._archive.version, unit)
        if self._known is None or self._known[0] != key:
            table = self._list.decided(fingerprint, self._log.table(fingerprint), unit)
            said: dict[str, list[str]] = {}
            for one in table.to_pylist():
                known = said.setdefault(one["case_id"], [])
                if one["decision"] not in known:
                    known.append(one["decision"])
            self._known = key, table, said
        return self._known[1:]

    def _families(self, top: Row) -> list[tuple[str, float]]:
        """Return the families' scores with their names, where there are any."""
        names = self._archive.family_names(top["run_id"])
        scores = top["family_scores"]
        if len(names) != len(scores):
            names = [f"part {number}" for number in range(1, len(scores) + 1)]
        return list(zip(names, scores, strict=True))

    def _prior(self, case: Row, volume: Volume | None) -> Row | None:
        """Return the slice of the earlier study that is shown beside one, with the study's highest score.

        Of a volume it is the one at the same share of its length, which is near the same place; else its
        highest slice.
        """
        if case["earlier_run"] is None:
            return None
        prior = self._list.prior(case)
        if prior is None:
            return None
        found = self._archive.slice_row(prior["object_id"], prior["slice_index"], case["fingerprint"])
        before = self._volumes.of(found) if found and volume and not volume.pending else None
        if volume and before and not before.pending:
            share = volume.current / (len(volume.slices) - 1)
            alike = before.slices[round(share * (len(before.slices) - 1))]
            found = self._archive.slice_row(alike["object_id"], alike["slice_index"], case["fingerprint"])
        return found


def _around(cases: Cases, case: Row, filters: Filters) -> tuple[Row | None, Row | None]:
    """Return the cases before and behind one; of one that is not on the list, among all of the night."""
    chosen = _chosen(filters)
    if not case["listed"]:
        chosen = replace(chosen, every=True)
    return cases.neighbours(chosen, case["rank"])


def _chosen(filters: Filters) -> CaseFilter:
    return CaseFilter(filters.every, filters.decision in ("open", "none"))
