"""A proxy in front of a real S3 server that lets single requests fail the way storage does."""

import contextlib
import http.client
import os
import signal
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

import psutil
from typing_extensions import override

FOREVER = 1 << 30
LIST = "LIST"
"""The method of listing requests in faults; their key is the prefix."""
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "expect", "content-length"})


class Kind(Enum):
    """What may happen to a request."""

    THROTTLE = auto()
    """Refused with 503 SlowDown."""
    BREAK = auto()
    """Refused with 500 InternalError."""
    RESET = auto()
    """The connection is reset without an answer."""
    EXPIRE = auto()
    """Refused with 400 ExpiredToken."""
    CUT = auto()
    """The connection breaks in the middle of the body, of the answer or of what is uploaded."""
    LOSE = auto()
    """Carried out, and the connection breaks before the answer."""
    DELAY = auto()
    """Answered ``DELAY_SECONDS`` late."""
    DENY = auto()
    """Refused with 403 AccessDenied."""
    VANISH = auto()
    """404 NoSuchKey, although it was listed."""
    CHANGE = auto()
    """Other bytes under another ETag than listed."""
    KILL = auto()
    """The process that asks is killed with SIGKILL."""


REFUSALS = {
    Kind.THROTTLE: (503, "SlowDown", "Please reduce your request rate."),
    Kind.BREAK: (500, "InternalError", "We encountered an internal error. Please try again."),
    Kind.EXPIRE: (400, "ExpiredToken", "The provided token has expired."),
    Kind.DENY: (403, "AccessDenied", "Access Denied"),
    Kind.VANISH: (404, "NoSuchKey", "The specified key does not exist."),
}
DELAY_SECONDS = 6.0


@dataclass
class Fault:
    """One kind of failure for the next ``times`` requests; hits counts those that met it.

    below: only of keys with this folder. lasts: from the first one on all requests fail so.
    """

    kind: Kind
    times: int = FOREVER
    below: str = ""
    lasts: bool = False
    hits: int = 0


class FaultProxy:
    """Listens while the context is open and forwards to the server at ``port``.

    The Host header goes on as it is, for it is part of the signature.
    """

    def __init__(self, port: int) -> None:
        self.upstream = port
        self.requests: Counter[tuple[str, str]] = Counter()
        self._faults: dict[tuple[str, str], list[Fault]] = {}
        self._outage: Kind | None = None
        self._lock = threading.Lock()
        self.stopped = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="fault proxy", daemon=True)

    def __enter__(self) -> "FaultProxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(
        self, method: str, key: str, kind: Kind, times: int = FOREVER, below: str = "", lasts: bool = False
    ) -> Fault:
        """Let requests fail whose key (without the bucket) ends with ``key``; later faults queue."""
        fault = Fault(kind, times, below, lasts)
        self._faults.setdefault((method, key), []).append(fault)
        return fault

    def heal(self) -> None:
        """Let everything succeed from now on."""
        self._faults.clear()
        self._outage = None

    def fault(self, method: str, key: str) -> Kind | None:
        """Count a request and say what happens to it."""
        with self._lock:
            self.requests[method, key] += 1
            if self._outage is not None:
                return self._outage
            for (wanted, ending), faults in self._faults.items():
                if wanted != method or not key.endswith(ending):
                    continue
                for fault in faults:
                    if fault.hits < fault.times and f"{fault.below}/" in f"/{key}":
                        fault.hits += 1
                        self._outage = fault.kind if fault.lasts else None
                        return fault.kind
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: FaultProxy

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: broken connections are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        query = parse_qs(parts.query)
        method = LIST if "list-type" in query else self.command
        if method == LIST:
            key = query.get("prefix", [""])[0]
        kind = self.server.proxy.fault(method, key)
        size = int(self.headers.get("Content-Length", 0))
        if kind is Kind.CUT and self.command == "PUT":
            self.rfile.read(size // 2)
            return self._hang_up()
        body = self.rfile.read(size)
        if kind is Kind.KILL:
            return self._kill_client()
        if kind is Kind.RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return self.connection.close()
        if kind in REFUSALS:
            return self._refuse(*REFUSALS[kind])
        if kind is Kind.DELAY:
            self.server.proxy.stopped.wait(DELAY_SECONDS)
        return self._forward(body, kind)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer

    def _forward(self, body: bytes, kind: Kind | None) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.proxy.upstream, timeout=60)
        with contextlib.closing(upstream):
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            data = answer.read()
        if kind is Kind.LOSE:
            return self._hang_up()
        changed = {"Etag": '"00000000000000000000000000000000"'} if kind is Kind.CHANGE else {}
        self.send_response(answer.status)
        for name, value in (dict(answer.headers.items()) | changed).items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        length = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        if kind is Kind.CUT:
            self.wfile.write(data[: len(data) // 2])
            return self._hang_up()
        self.wfile.write(data)
        return None

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _kill_client(self) -> None:
        pid = _owner_of(self.client_address[1])
        if pid == os.getpid():
            raise RuntimeError("the tests' own process asked for an object that kills")
        os.kill(pid, signal.SIGKILL)
        self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Keep no log."""


def _owner_of(port: int) -> int:
    """Return the process of this machine whose end of a connection is this port."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.pid is not None:
            return connection.pid
    raise RuntimeError(f"no process has port {port}")
