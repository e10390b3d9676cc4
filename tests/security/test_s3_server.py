"""An S3 server that lies about what it has: every lie ends as a reason, in bounded memory and time."""

import http.server
import itertools
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import HTTPClientError  # type: ignore[import-untyped]

from s2sw.connectors.outputs.s3 import S3Output
from s2sw.connectors.storage import bounded_session, s3
from s2sw.connectors.storage.objects import list_objects, read_object
from s2sw.connectors.storage.s3 import s3_filesystem
from s2sw.connectors.storage.s3_pages import EMPTY_PAGES
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.run import window
from s2sw.pipeline.run.executor import RunFailedError
from s2sw.schemas.errors import UserError
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

Answer = Callable[["Handler"], None]
LISTED = StoredObject("s3://archive/one.png", 100, "mark", 0.0)
NO_LIMIT = 1 << 40


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each request as the test says, until the client hangs up."""

    protocol_version = "HTTP/1.1"
    answer: Answer
    over: threading.Event
    asked = 0

    def do_GET(self) -> None:
        """Answer."""
        type(self).asked += 1
        try:
            type(self).answer(self)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def start(self, status: int = 200, **headers: object) -> None:
        self.send_response(status)
        for name, value in {"ETag": '"mark"', **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def page(self, keys: list[str], token: str | None) -> None:
        entries = "".join(
            f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in keys
        )
        more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        text = f"<ListBucketResult>{entries}{more if token else ''}</ListBucketResult>".encode()
        self.start(Content_Length=len(text))
        self.wfile.write(text)


@contextmanager
def serving(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[StorageSettings, type[Handler]]]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    over = threading.Event()
    handler = type("Own", (Handler,), {"answer": answer, "over": over, "asked": 0})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        try:
            yield (
                StorageSettings(endpoint_url=f"http://127.0.0.1:{port}", region="us-east-1", tries=1),
                handler,
            )
        finally:
            over.set()
            s3_filesystem.cache_clear()
            server.shutdown()


def reason(call: Callable[[], object]) -> Reason:
    with pytest.raises(ScreeningError) as refused:
        call()
    return refused.value.reason


def endless_body(handler: Handler) -> None:
    handler.start(Transfer_Encoding="chunked")
    block = b"x" * (1 << 16)
    while not handler.over.is_set():
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))


def long_body(handler: Handler) -> None:
    handler.start(Content_Length=8 << 30)
    while not handler.over.is_set():
        handler.wfile.write(b"x" * (1 << 16))


def trickle(handler: Handler) -> None:
    """Send a byte, and the next one only when nobody waits any more."""
    handler.start(Content_Length=100)
    handler.wfile.write(b"x")
    handler.over.wait()


@pytest.mark.parametrize("answer", [endless_body, long_body])
def test_no_more_is_read_than_was_listed(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer, monkeypatch) as (settings, _):
        s3_filesystem(settings)
        tracemalloc.start()
        try:
            assert reason(lambda: read_object(LISTED, settings, NO_LIMIT)) is Reason.IO_ERROR
            assert tracemalloc.get_traced_memory()[1] < 64 << 20
        finally:
            tracemalloc.stop()


def test_an_object_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(s3, "LOOK_SECONDS", 0.05)
    with serving(trickle, monkeypatch) as (settings, _):
        assert reason(lambda: read_object(LISTED, settings, NO_LIMIT)) is Reason.TIMEOUT


def test_the_windows_end_cuts_a_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "LOOK_SECONDS", 0.05)
    looks = itertools.count()
    with serving(trickle, monkeypatch) as (settings, _):
        found = reason(lambda: read_object(LISTED, settings, NO_LIMIT, lambda: next(looks) > 3))
    assert found is Reason.TIME_WINDOW


def same_page(handler: Handler) -> None:
    handler.page(["a/1", "a/2"], f"token-{handler.asked}")


def nothing_more(handler: Handler) -> None:
    handler.page([], f"token-{handler.asked}")


def elsewhere(handler: Handler) -> None:
    handler.page(["../../etc/passwd"], None)


def long_listing(handler: Handler) -> None:
    handler.start(Transfer_Encoding="chunked")
    block = b"<Contents><Key>a</Key></Contents>" * 1000
    while not handler.over.is_set():
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))


def long_refusal(handler: Handler) -> None:
    handler.start(403, Transfer_Encoding="chunked")
    while not handler.over.is_set():
        handler.wfile.write(b"10000\r\n%b\r\n" % (b" " * 0x10000))


@pytest.mark.parametrize("answer", [same_page, nothing_more, elsewhere, long_listing, long_refusal])
def test_a_listing_ends(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_session, "ANSWER_BYTES", 1 << 20)
    with serving(answer, monkeypatch) as (settings, handler):
        assert reason(lambda: list(list_objects("s3://archive/a/", settings))) is Reason.IO_ERROR
        assert handler.asked <= EMPTY_PAGES + 2


def test_a_refusal_of_an_object_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_session, "ANSWER_BYTES", 1 << 20)
    with serving(long_refusal, monkeypatch) as (settings, _):
        assert reason(lambda: read_object(LISTED, settings, NO_LIMIT)) is Reason.IO_ERROR


def test_an_answer_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_session, "ANSWER_SECONDS", 0.2)
    with serving(trickle, monkeypatch) as (settings, _):
        assert reason(lambda: list(list_objects("s3://archive/a/", settings))) is Reason.TIMEOUT


def test_an_endless_listing_ends_with_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "LISTING_SECONDS", 0.0)

    def more(handler: Handler) -> None:
        handler.page([f"a/{handler.asked:09}"], f"token-{handler.asked}")

    looks = itertools.count()
    with serving(more, monkeypatch) as (settings, handler):
        listed: Any = list_objects("s3://archive/a/", settings)
        with pytest.raises(RunFailedError, match="still being listed"):
            list(window.in_window(listed, lambda: next(looks) >= 20))
        assert handler.asked < 30


def test_honest_answers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def honest(handler: Handler) -> None:
        handler.start(Content_Length=100)
        for _ in range(10):
            handler.wfile.write(b"0123456789")
            handler.wfile.flush()

    with serving(honest, monkeypatch) as (settings, _):
        assert read_object(LISTED, settings, NO_LIMIT) == b"0123456789" * 10


@pytest.mark.parametrize("length", [None, 8 << 30])
def test_a_range_is_no_longer_than_asked_for(length: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Footers and columns of results are read so, by s3fs, which takes what comes."""

    def longer(handler: Handler) -> None:
        (long_body if length else endless_body)(handler)

    with serving(longer, monkeypatch) as (settings, _):
        client = s3_filesystem(settings)
        output = S3Output("s3://archive/out", settings)
        tracemalloc.start()
        try:
            for read in (
                lambda: client.cat_file("archive/one", start=100, end=200),
                lambda: output.tail("objects/a.parquet", 1000, 100),
            ):
                with pytest.raises((OSError, HTTPClientError, ScreeningError)):
                    read()
            with pytest.raises(UserError, match="has more than"):
                output.read("runs/x.json", 1 << 20)
            assert tracemalloc.get_traced_memory()[1] < 64 << 20
        finally:
            tracemalloc.stop()
