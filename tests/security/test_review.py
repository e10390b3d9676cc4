"""The review page beside other servers of this machine, slow clients, and forged results."""

import http.cookiejar
import http.server
import socket
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar
from urllib.parse import quote, urlencode

import pyarrow.parquet as pq
import pytest

from s2sw.pipeline.review import serving
from tests.pipeline.review.serving import Client, served
from tests.security.forged import forge, only
from tests.security.test_results import HUGE, VICTIM
from tests.support.screened import FIRST, SETTINGS, Screened


@pytest.fixture
def page(ward: Screened) -> Iterator[Client]:
    with served(ward.output, ward.private) as client:
        yield client


class Listener(http.server.BaseHTTPRequestHandler):
    """Another server of this machine, which notes all that browsers send it."""

    heard: list[str]

    def do_GET(self) -> None:
        """Answer nothing."""
        type(self).heard.append(f"{self.path} {self.headers}")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_no_other_port_receives_what_lets_a_browser_in(page: Client) -> None:
    """The attack: cookies go to every port of 127.0.0.1, and the cookie was the token."""

    class Own(Listener):
        heard: ClassVar[list[str]] = []

    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    with browser.open(page.entry) as answer:
        root = answer.url.removeprefix(page.origin).rstrip("/")
    (cookie,) = jar
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        for host in ("127.0.0.1", "localhost"):
            for path in ("/", "/static/review.css", "/slice/a/0", "/favicon.ico"):
                browser.open(f"http://{host}:{other.server_address[1]}{path}").close()
        other.shutdown()
    heard = "\n".join(Own.heard)
    assert len(Own.heard) == 8
    for secret in (str(cookie.value), page.token, root):
        assert secret
        assert secret not in heard
    with browser.open(f"{page.origin}{root}/") as answer:
        assert answer.status == 200


def test_pages_name_their_root_to_nobody(page: Client) -> None:
    answer = page.get("/")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert page.token not in answer.text
    assert page.session not in answer.text


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\nHost: ", b"POST /decide HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"]
)
def test_a_request_that_does_not_end_is_closed(
    ward: Screened, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(serving, "REQUEST_SECONDS", 0.2)
    with (
        served(ward.output, ward.private) as client,
        socket.create_connection(("127.0.0.1", client.port), timeout=30) as slow,
    ):
        slow.sendall(sent)
        while slow.recv(1 << 16):  # until it is closed
            pass
        assert client.get("/").status == 200


@pytest.mark.parametrize("kind", list(HUGE))
def test_rows_that_no_run_wrote_are_no_failure(ward: Screened, kind: str) -> None:
    object_id = ward.ids[VICTIM]
    forge(ward, "slices", only(object_id, **HUGE[kind]))
    settings = f"?settings={SETTINGS}"
    with served(ward.output, ward.private) as client:
        assert client.get("/").status == 200
        for path in (f"/slice/{object_id}/0", f"/map/{object_id}/0", f"/picture/{FIRST}/{object_id}/0"):
            assert client.get(path + settings).status < 500, path
        assert client.get("/objects").status == 200


@pytest.mark.parametrize(
    "name", ["../../x", "*", "<script>alert(1)</script>", "\u202egnp.exe", "", "a\n" * 9]
)
def test_ids_that_no_run_wrote_are_shown_nowhere(ward: Screened, name: str) -> None:
    for table in ("slices", "objects"):
        forge(ward, table, only(ward.ids[VICTIM], object_id=name))
    with served(ward.output, ward.private) as client:
        for path in ("/", "/objects"):
            answer = client.get(path)
            assert answer.status == 200
            assert not name or name not in answer.text


def test_fifty_decisions_at_once_are_all_kept(page: Client, ward: Screened) -> None:
    kinds = ("accept", "reject", "unsure")
    ids = list(ward.ids.values())
    with ThreadPoolExecutor(50) as pool:
        asked = [(ids[number % len(ids)], kinds[number % 3]) for number in range(50)]
        answers = list(pool.map(lambda one: page.decide(*one, note=f"{one}"), asked))
    assert {answer.status for answer in answers} <= {200, 303}
    files = sorted((ward.output / "decisions").glob("*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in files) == 50
    assert page.get("/").status == 200


ODD = [
    "<script>alert(1)</script>", "' OR 1=1 --", "9" * 5000, "-1", "nan", "\x00", "%s", "../..", "é" * 300,
]  # fmt: skip


@pytest.mark.parametrize("path", ["/", "/slices", "/objects", "/slice/{}/0", "/volume/{}/0"])
def test_pages_take_any_parameter(page: Client, path: str) -> None:
    names = (
        "case",
        "after",
        "before",
        "every",
        "undecided",
        "fingerprint",
        "order",
        "modality",
        "site",
        "score",
    )
    for odd in ODD:
        query = urlencode(dict.fromkeys(names, odd))
        answer = page.get(f"{path.format(quote(odd, safe=''))[:6000]}?{query}")
        assert answer.status in (200, 303, 307, 400, 404, 414), (path, odd[:20], answer.status)
        assert b"<script>alert" not in answer.body
