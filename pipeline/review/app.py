"""The page as an ASGI application: its parts put together, and its addresses."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl

import duckdb
import pyarrow as pa
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from typing_extensions import override

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.flagging.decisions import DecisionError
from s2sw.pipeline.ledger.run_records import ReportError
from s2sw.pipeline.privacy.redaction import describe
from s2sw.pipeline.results.sources import Sources
from s2sw.pipeline.review.addresses import slice_address
from s2sw.pipeline.review.archive import Archive
from s2sw.pipeline.review.case_views import CaseViews
from s2sw.pipeline.review.cases import CaseList
from s2sw.pipeline.review.decision_log import DecisionLog, key_of
from s2sw.pipeline.review.filters import FilterError, Filters
from s2sw.pipeline.review.media import Media, Switches
from s2sw.pipeline.review.naming import Naming
from s2sw.pipeline.review.pages import Pages
from s2sw.pipeline.review.similar import Similar
from s2sw.pipeline.review.volumes import Volumes
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.outcomes import ScreeningError

T = TypeVar("T")

STATIC = Path(__file__).with_name("static")
FORM_BYTES = 64 << 10
ROOT_BYTES = 24
LONGEST_INDEX = 10
SEE_OTHER = 303


class SliceIndex(Convertor[int]):
    """The number of a slice in an address."""

    regex = "[0-9]+"

    @override
    def convert(self, value: str) -> int:
        """Return the number. Raises HTTPException for one that Python would not read."""
        if len(value) > LONGEST_INDEX:
            raise HTTPException(400, f"the number of a slice has at most {LONGEST_INDEX} digits")
        return int(value)

    @override
    def to_string(self, value: int) -> str:
        """Return the number as it stands in an address."""
        return str(value)


register_url_convertor("slice", SliceIndex())


class Decisions:
    """Answers the forms that write."""

    def __init__(self, pages: Pages, decision_log: DecisionLog) -> None:
        self._pages = pages
        self._decisions = decision_log

    async def decide(self, request: Request) -> Response:
        """Add a decision and go to the next slice; the answer comes once the decision lasts."""
        fields = await _fields(request)
        return await run_in_threadpool(self._decide, request, fields)

    async def undo(self, request: Request) -> Response:
        """Take the last decision of this session back and show its slice."""
        return await run_in_threadpool(self._undo, self._pages.filters(request))

    def _decide(self, request: Request, fields: dict[str, str]) -> Response:
        filters = replace(self._pages.filters(request), stay=fields.get("advance") != "1")
        kind, index = _kind(fields), _number(fields, "slice_index", int, "a whole number")
        row = self._pages.row(fields.get("object_id", ""), index, filters)
        stays = filters.stay or kind is DecisionKind.WITHDRAWN
        # before the decision: the slice may then no longer meet the filter
        address = (
            slice_address(self._pages.root, row, filters.query())
            if stays
            else self._pages.next_address(row, filters)
        )
        threshold = _number(fields, "threshold", float, "a number from 0 to 1")
        note = fields.get("note", "").replace("\r\n", "\n").strip()
        self._decisions.decide(key_of(row), kind, note, threshold)
        return RedirectResponse(address, status_code=SEE_OTHER)

    def _undo(self, filters: Filters) -> Response:
        undone = self._decisions.undo()
        if undone is None:
            raise DecisionError("nothing to undo: nothing was decided since the page was started")
        root = self._pages.root
        row = {"object_id": undone.key.object_id, "slice_index": undone.key.slice_index}
        shown = replace(filters, settings=undone.key.fingerprint)
        return RedirectResponse(slice_address(root, row, shown.query()), status_code=SEE_OTHER)


def build_app(output: OutputFolder, sources: Sources, reviewer: str, switches: Switches) -> Starlette:
    """Return the application over an output. It asks nobody who they are: see ``gate``.

    All its addresses begin with ``app.state.root``, which nobody can guess.
    """
    root = f"/{secrets.token_urlsafe(ROOT_BYTES)}"
    archive, decision_log = Archive(output), DecisionLog(output, reviewer)
    decision_log.refresh()
    sources.private = archive.private
    media = Media(archive, sources, switches)
    volumes = Volumes(archive, sources, reading=switches.pictures)
    naming = Naming(archive, sources, switches.show_names)
    cases = CaseViews(CaseList(output, archive), archive, decision_log, volumes)
    similar = Similar(root, archive, decision_log)
    pages = Pages(root, archive, decision_log, media, naming, volumes, cases, similar, switches)
    decisions = Decisions(pages, decision_log)
    of_slice = "{object_id}/{index:slice}"
    app = Starlette(
        routes=[
            Mount(
                root,
                routes=[
                    Route("/", pages.cases),
                    Route("/slices", pages.worklist),
                    Route(f"/slice/{of_slice}", pages.slice),
                    Route("/objects", pages.objects),
                    Route(f"/thumbnail/{{run_id}}/{of_slice}", media.thumbnail),
                    Route(f"/picture/{{run_id}}/{of_slice}", media.picture),
                    Route(f"/facts/{{run_id}}/{of_slice}", media.facts),
                    Route(f"/values/{{run_id}}/{of_slice}", media.values),
                    Route(f"/volume/{of_slice}", pages.volume),
                    Route(f"/map/{of_slice}", media.map),
                    Route("/decide", decisions.decide, methods=["POST"]),
                    Route("/undo", decisions.undo, methods=["POST"]),
                    Mount("/static", StaticFiles(directory=STATIC)),
                ],
            ),
        ],
        exception_handlers={
            HTTPException: _handler(pages, lambda error: getattr(error, "detail", "")),
            FilterError: _handler(pages, str, 400),
            DecisionError: _handler(pages, str, 400),
            ReportError: _handler(pages, str, 503),
            **dict.fromkeys(
                (ScreeningError, OSError, duckdb.Error, pa.ArrowException),
                _handler(
                    pages, lambda error: f"the results cannot be read or written: {describe(error)}", 503
                ),
            ),
        },
    )
    app.state.root = root
    return app


def _handler(
    pages: Pages, words: Callable[[Exception], str], code: int | None = None
) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        return pages.error(words(error), code or int(getattr(error, "status_code", 500)))

    return answer


async def _fields(request: Request) -> dict[str, str]:
    """Return the fields of a form, ``application/x-www-form-urlencoded`` (HTML, 4.10.21.7)."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            raise HTTPException(413, f"a form of more than {FORM_BYTES} bytes")
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))


def _kind(fields: dict[str, str]) -> DecisionKind:
    try:
        return DecisionKind(fields.get("decision", ""))
    except ValueError:
        expected = ", ".join(DecisionKind)
        raise DecisionError(
            f"decision is {fields.get('decision', '')[:40]!r}: one of {expected} is expected"
        ) from None


def _number(fields: dict[str, str], name: str, read: Callable[[str], T], expected: str) -> T:
    try:
        return read(fields.get(name, ""))
    except ValueError:
        raise DecisionError(f"{name} is {fields.get(name, '')[:40]!r}: {expected} is expected") from None
