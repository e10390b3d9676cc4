"""Running the page: one port of the loopback interface, until it is stopped."""

import asyncio
import contextlib
import secrets
import socket
from dataclasses import dataclass

import h11
import uvicorn
from starlette.applications import Starlette
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from s2sw.pipeline.review.access_gate import AccessGate

LOOPBACK = "127.0.0.1"
TOKEN_BYTES = 32
REQUEST_SECONDS = 20.0
"""From the first byte of a request, or the connection, to the end of the request."""


class TimedProtocol(H11Protocol):
    """A connection on which a request must be whole in time, or it is closed."""

    _timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(REQUEST_SECONDS, transport.close)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state in (h11.IDLE, h11.SEND_BODY):  # more of a request is to come
            self._timer = self._timer or self.loop.call_later(REQUEST_SECONDS, self.transport.close)
        else:
            self._stop()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@dataclass(frozen=True)
class Server:
    """An open port of this machine and the gate in front of the page."""

    listener: socket.socket
    gate: AccessGate

    @classmethod
    def open(cls, app: Starlette, port: int = 0) -> "Server":
        """Listen on a port of the loopback interface, 0: a free one. Raises OSError where it is taken."""
        listener = socket.create_server((LOOPBACK, port))
        number: int = listener.getsockname()[1]
        return cls(listener, AccessGate(app, secrets.token_urlsafe(TOKEN_BYTES), number, app.state.root))

    def server(self) -> uvicorn.Server:
        """Return the server, not yet running."""
        config = uvicorn.Config(
            self.gate,
            access_log=False,  # addresses hold ids, and one the token
            log_level="warning",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            http=TimedProtocol,
            ws="none",
            timeout_graceful_shutdown=3,
        )
        return uvicorn.Server(config)

    def serve(self) -> None:
        """Answer requests until the process is told to stop."""
        with contextlib.suppress(KeyboardInterrupt):
            self.server().run(sockets=[self.listener])
