"""The page behind a real port, and a client that may use it."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlencode

import uvicorn

from s2sw.connectors.outputs.opening import open_output
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.results.sources import Sources
from s2sw.pipeline.review.access_gate import COOKIE
from s2sw.pipeline.review.app import build_app
from s2sw.pipeline.review.media import Switches
from s2sw.pipeline.review.serving import Server
from s2sw.schemas.storage import StorageSettings


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass(frozen=True)
class Client:
    """A browser without scripts. root: of the page, before every path; session: its cookie, "" has none."""

    port: int
    token: str
    root: str = ""
    session: str = ""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return self.origin + self.root

    @property
    def entry(self) -> str:
        """The address that lets a browser in."""
        return f"{self.origin}/?token={self.token}"

    def stranger(self, session: str = "", root: str | None = None) -> "Client":
        """Return a browser that was not let in."""
        return replace(self, session=session, root=self.root if root is None else root)

    def entered(self) -> "Client":
        """Return a browser that has opened the address with the token."""
        answer = replace(self, root="", session="").get(f"/?token={self.token}")
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        root = answer.headers["Location"].removesuffix("/")
        return replace(self, root=root, session=cookie.partition("=")[2])

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, fields: dict[str, object], **headers: str) -> Answer:
        return self._ask("POST", path, urlencode(fields), {"Origin": self.origin} | headers)

    def decide(self, object_id: str, kind: str, index: int = 0, query: str = "", **fields: object) -> Answer:
        known = {"object_id": object_id, "slice_index": index, "decision": kind, "threshold": 0.5, "note": ""}
        return self.post(f"/decide{query}", known | fields)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        cookie = {"Cookie": f"{COOKIE}={self.session}"} if self.session else {}
        try:
            whole = path if self.root and path.startswith(self.root) else self.root + path  # as links have it
            connection.request(method, whole, body, cookie | headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@contextmanager
def served(
    output: Path | str, private: Path, reviewer: str = "ada", switches: Switches | None = None
) -> Iterator[Client]:
    """Serve the page in a thread of this process."""
    folder = open_output(str(output), StorageSettings())
    sources = Sources(folder, Inside(private), StorageSettings())
    door = Server.open(build_app(folder, sources, reviewer, switches or Switches()))
    server: uvicorn.Server = door.server()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door.listener]})
    thread.start()
    try:
        yield Client(door.gate.port, door.gate.token).entered()
    finally:
        server.should_exit = True
        thread.join()
