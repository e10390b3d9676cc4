"""Running the page: one port of the loopback interface, until it is stopped."""

import contextlib
import secrets
import socket
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette

from s2sw.pipeline.review.gate import Gate

LOOPBACK = "127.0.0.1"
TOKEN_BYTES = 32


@dataclass(frozen=True)
class Door:
    """An open port of this machine and the gate in front of the page."""

    listener: socket.socket
    gate: Gate

    @classmethod
    def open(cls, app: Starlette, port: int = 0) -> "Door":
        """Listen on a port of the loopback interface, 0: a free one. Raises OSError where it is taken."""
        listener = socket.create_server((LOOPBACK, port))
        number: int = listener.getsockname()[1]
        return cls(listener, Gate(app, secrets.token_urlsafe(TOKEN_BYTES), number))

    def server(self) -> uvicorn.Server:
        """Return the server, not yet running."""
        config = uvicorn.Config(
            self.gate,
            access_log=False,  # addresses hold ids, and one the token
            log_level="warning",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=3,
        )
        return uvicorn.Server(config)

    def serve(self) -> None:
        """Answer requests until the process is told to stop."""
        with contextlib.suppress(KeyboardInterrupt):
            self.server().run(sockets=[self.listener])
