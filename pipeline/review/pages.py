"""The pages of text: the worklist, one slice, what was not screened."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from s2sw.pipeline.flagging.decisions import NOTE_CHARACTERS
from s2sw.pipeline.imaging.overlays import HEAT
from s2sw.pipeline.pages.rendering import environment
from s2sw.pipeline.reports.summary_text import EXPLANATIONS
from s2sw.pipeline.review.addresses import media_paths, slice_address
from s2sw.pipeline.review.archive import Archive
from s2sw.pipeline.review.case_views import DECIDED as CASES_DECIDED
from s2sw.pipeline.review.case_views import CaseViews
from s2sw.pipeline.review.charts import score_histogram, stack_chart
from s2sw.pipeline.review.decision_log import DecisionLog, key_of
from s2sw.pipeline.review.filters import DECIDED, ORDERS, FilterError, Filters, flag_thresholds
from s2sw.pipeline.review.media import Media, Switches
from s2sw.pipeline.review.naming import Naming
from s2sw.pipeline.review.quarantine import UNSCREENED, unscreened
from s2sw.pipeline.review.ranking import COLUMNS, IN_FULL, Place, Worklist, bars
from s2sw.pipeline.review.similar import Similar
from s2sw.pipeline.review.volumes import Volume, Volumes
from s2sw.schemas.outcomes import MEANINGS, Status
from s2sw.schemas.tables import Row

PACKAGE = __package__  # whose templates these are
HEAT_COLOURS = [[int(channel) for channel in colour] for colour in HEAT]


class Pages:
    """Answers the requests for pages. root: what every address of the page begins with."""

    def __init__(
        self,
        root: str,
        archive: Archive,
        decision_log: DecisionLog,
        media: Media,
        naming: Naming,
        volumes: Volumes,
        cases: CaseViews,
        similar: Similar,
        switches: Switches,
    ) -> None:
        self.root = root
        self._archive = archive
        self._decisions = decision_log
        self._media = media
        self._naming = naming
        self._switches = switches
        self._volumes = volumes
        self._cases = cases
        self._similar = similar

    def cases(self, request: Request) -> Response:
        """Show a page of the list of cases."""
        self._archive.refresh()
        filters = self.filters(request)
        shown = self._cases.page(filters, _rank(request, "after"), _rank(request, "before"))
        tops = [case["top"] for case in shown["rows"]]
        self._media.expect(tops)
        names = self._naming.names(tops)
        shown["rows"] = [
            {
                **case,
                "address": self.case_address(case, filters),
                "name": names[case["top"]["object_id"]],
                "paths": media_paths(self.root, case["top"]),
            }
            for case in shown["rows"]
        ]
        return self._render("cases.html", filters, decided=CASES_DECIDED, **shown)

    def worklist(self, request: Request) -> Response:
        """Show a page of the worklist."""
        self._archive.refresh()
        filters = self.filters(request)
        worklist = self._worklist(filters)
        page = worklist.page(_place(request, "after"), _place(request, "before"))
        counts = worklist.counts()
        chart = bars(counts.bins)
        facets = self._archive.facets(filters.settings)
        first = worklist.rank(page.rows[0]) if page.has_previous and page.rows else 0
        flags = flag_thresholds(self._archive.flag, filters)
        self._media.expect(page.rows)
        before, after = (
            filters.query(**{side: place}) for side, place in (("before", page.start), ("after", page.end))
        )
        return self._render(
            "worklist.html",
            filters,
            cards=self._cards(page.rows, filters),
            before=before if page.has_previous else None,
            after=after if page.has_next else None,
            first=first + 1,
            total=counts.total,
            chart=score_histogram(chart, filters.low, filters.high, flags) if chart else None,
            flags=flags,
            range=(chart[0][0], chart[-1][1]) if chart else (0.0, 1.0),
            modalities=_choices(facets["modality"]),
            sites=_choices(facets["site"]) if "site" in facets else [],
            orders={name: words for name, (_, words) in ORDERS.items()},
            decided=DECIDED,
            counts=self._decisions.counts(filters.settings),
            left_out=page.left_out,
        )

    def slice(self, request: Request) -> Response:
        """Show one slice."""
        filters = self.filters(request)
        object_id, index = request.path_params["object_id"], request.path_params["index"]
        row = self.row(object_id, index, filters, IN_FULL)
        worklist = self._worklist(filters)
        volume = self._volumes.of(row)
        shown = self._cases.case(filters, row, volume)
        if shown["case"]:
            before, behind = shown["around"]
            rank, total = shown["case"]["rank"] - 1, shown["progress"].cases
        else:
            before, behind = worklist.neighbours(row)
            rank, total = worklist.rank(row), worklist.counts().total
        prior = shown.get("before")
        similar = self._similar.of(row, filters.query())
        self._media.expect(similar.rows if similar else [])
        key = key_of(row)
        return self._render(
            "slice.html",
            filters,
            row=row,
            name=self._naming.names([row])[row["object_id"]],
            rank=rank + 1,
            total=total,
            previous=self._address(before, filters) if before else None,
            next=self._address(behind, filters) if behind else None,
            **shown,
            before_paths=media_paths(self.root, prior) if prior else None,
            slice_of=self._slice_of(filters),
            similar=similar,
            **self._volume(volume),
            said=self._decisions.said(key),
            mine=self._decisions.mine(key),
            note_characters=NOTE_CHARACTERS,
            heat=HEAT_COLOURS,
            paths=media_paths(self.root, row),
        )

    def volume(self, request: Request) -> Response:
        """Show the volume of a slice, once its order is known."""
        filters = self.filters(request)
        row = self.row(request.path_params["object_id"], request.path_params["index"], filters)
        return self._render("volume.html", filters, row=row, **self._volume(self._volumes.of(row, wait=True)))

    def _volume(self, volume: Volume | None) -> dict[str, Any]:
        """Return what the template says of a volume. places: object and slice of each, for the script."""
        if volume is None or volume.pending:
            return {"volume": volume, "stack": None, "places": []}
        named = volume.slices if volume.of_files else []  # slices of one file are numbered
        return {
            "volume": volume,
            "stack": stack_chart([one["score"] for one in volume.slices], volume.current),
            "places": [f"{quote(one['object_id'], safe='')}/{one['slice_index']}" for one in named],
        }

    def objects(self, request: Request) -> Response:
        """Show what was not screened."""
        self._archive.refresh()
        filters = self.filters(request)
        asked = {name: request.query_params.get(name, "") for name in ("status", "reason", "behind")}
        status = asked["status"] or Status.QUARANTINED.value
        if status not in UNSCREENED:
            raise FilterError(f"status is {status[:40]!r}: one of {', '.join(UNSCREENED)} is expected")
        found = unscreened(
            self._archive.cursor(), filters.settings, Status(status), asked["reason"], asked["behind"]
        )
        here = {"status": status, "reason": asked["reason"]}
        return self._render(
            "objects.html",
            filters,
            status=status,
            statuses={one.value: EXPLANATIONS[one] for one in UNSCREENED},
            reason=asked["reason"],
            found=found,
            names=self._naming.names(found.rows),
            words={reason.value: words for reason, words in MEANINGS.items()},
            behind=filters.query(**here, behind=found.last) if found.has_next else None,
            left_out=found.left_out,
        )

    def filters(self, request: Request) -> Filters:
        """Return what the address asks for, under the newest settings unless it names others."""
        asked = Filters.parse(request.query_params)
        known = [settings.fingerprint for settings in self._archive.settings]
        if asked.settings and asked.settings not in known:
            raise FilterError(f"settings is {asked.settings[:40]!r}: the results hold {', '.join(known)}")
        if asked.site and not self._archive.has_site:
            raise FilterError(f"site is {asked.site[:40]!r}: these results are not kept by site")
        return asked if asked.settings or not known else replace(asked, settings=known[0])

    def row(self, object_id: str, index: int, filters: Filters, columns: str = COLUMNS) -> Row:
        """Return a slice's row. Raises HTTPException where there is none."""
        row = self._archive.slice_row(object_id, index, filters.settings, columns)
        if row is None:
            raise HTTPException(404, f"no slice {index + 1} of object {object_id[:40]} in these results")
        return row

    def next_address(self, row: Row, filters: Filters) -> str:
        """Return the address of the slice behind one in the worklist; its own if it is the last."""
        _, behind = (
            self._cases.neighbours(filters) if filters.case else self._worklist(filters).neighbours(row)
        )
        return self._address(behind or row, filters)

    def case_address(self, case: Row, filters: Filters) -> str:
        """Return the address of a case's highest slice, and of the case with it."""
        return slice_address(self.root, case["worst"][0], filters.query(case=case["case_id"]))

    def _address(self, row: Row, filters: Filters) -> str:
        """Return the address of a case or slice."""
        return (
            self.case_address(row, filters)
            if "worst" in row
            else slice_address(self.root, row, filters.query())
        )

    def _slice_of(self, filters: Filters) -> Callable[[str, int], str]:
        """Return what gives the address of a slice of the case that is looked at."""
        query = filters.query()
        return lambda object_id, index: slice_address(
            self.root, {"object_id": object_id, "slice_index": index}, query
        )

    def error(self, text: str, code: int) -> Response:
        """Return a page that says what is wrong."""
        page = environment(PACKAGE).get_template("error.html").render(root=self.root, text=text)
        return HTMLResponse(page, status_code=code)

    def _worklist(self, filters: Filters) -> Worklist:
        self._decisions.refresh()
        counted = self._archive.counted
        cursor = self._archive.cursor(self._decisions.table(filters.settings))
        return Worklist(cursor, filters, self._decisions.reviewer, counted)

    def _cards(self, rows: list[Row], filters: Filters) -> list[Row]:
        names, query = self._naming.names(rows), filters.query()
        return [
            {
                **row,
                "name": names[row["object_id"]],
                "address": slice_address(self.root, row, query),
                "paths": media_paths(self.root, row),
                "said": self._decisions.said(key_of(row)),
            }
            for row in rows
        ]

    def _render(self, template: str, filters: Filters, **values: Any) -> Response:
        page = (
            environment(PACKAGE)
            .get_template(template)
            .render(
                root=self.root,
                here=template.removesuffix(".html"),
                filters=filters,
                query=filters.query,
                settings=self._archive.settings,
                switches=self._switches,
                reviewer=self._decisions.reviewer,
                last=self._decisions.last,
                **values,
            )
        )
        return HTMLResponse(page)


def _place(request: Request, name: str) -> Place | None:
    text = request.query_params.get(name)
    return Place.parse(text) if text else None


def _rank(request: Request, name: str) -> int:
    """Return a rank from the address, 0 where none is named. Raises FilterError."""
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise FilterError(f"{name} is {text[:40]!r}: follow the links of the list")
    return int(text)


def _choices(values: list[str]) -> list[tuple[str, str]]:
    return [("", "all"), *((value, value) for value in values)]
