"""Who may use the page: a browser on this machine that was given the token, and no other page in it."""

import hmac
import secrets
from collections import deque
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content Security Policy (W3C, level 3): nothing runs or loads but files of this server."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # pictures and ids are not for the browser's disk
    "Cache-Control": "no-store",
}
READING = ("GET", "HEAD")
OURS = ("none", "same-origin")
"""Whose requests are answered that are no navigation (Fetch Metadata, W3C): this page's, or a person's."""
COOKIE = "s2sw-review"
COOKIES = 8  # of a request that are looked at
SESSION_BYTES = 32
SESSIONS = 64


@dataclass(frozen=True)
class AccessGate:
    """ASGI middleware in front of everything. token: the secret in the address that was printed.

    root: what all addresses of the page begin with, a second secret. Browsers send cookies to every port of a
    host, so the cookie is for this path alone: whoever else listens on this machine cannot name it.
    """

    app: ASGIApp
    token: str
    port: int
    root: str
    sessions: deque[str] = field(default_factory=lambda: deque(maxlen=SESSIONS))
    """Values of the cookie, one for each browser that was let in."""

    @property
    def address(self) -> str:
        """The address that lets a browser in."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._refusal(scope) or self._entry(scope) or self.app
        await answer(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """Refuse what no browser that was let in sends."""
        headers = Headers(scope=scope)
        if headers.get("sec-fetch-site", "none") not in OURS and headers.get("sec-fetch-mode") != "navigate":
            return _refused("another page may not load this one")
        hosts = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")}
        if headers.get("host") not in hosts:  # a name of somebody else's that points here (DNS rebinding)
            return _refused(f"the page is at 127.0.0.1:{self.port} or localhost:{self.port} only")
        if scope["method"] not in READING and headers.get("origin") not in {f"http://{h}" for h in hosts}:
            return _refused("another page may not write here")
        if self._offered(scope) is None and not self._let_in(scope, headers):
            return _refused("open the address that s2sw review printed, with its token")
        return None

    def _entry(self, scope: Scope) -> Response | None:
        """Exchange the token in an address for a cookie, so that it stays in no history and no link."""
        offered = self._offered(scope)
        if offered is None:
            return None
        if not _same(offered, self.token):
            return _refused("this token is not the one that s2sw review printed when it was started")
        session = secrets.token_urlsafe(SESSION_BYTES)
        self.sessions.append(session)
        response = RedirectResponse(f"{self.root}/", status_code=303)
        response.set_cookie(COOKIE, session, httponly=True, samesite="strict", path=self.root)
        return response

    def _offered(self, scope: Scope) -> str | None:
        if scope["path"] != "/" or scope["method"] != "GET":
            return None
        return QueryParams(scope["query_string"]).get("token")

    def _let_in(self, scope: Scope, headers: Headers) -> bool:
        """Tell whether a request is below the root and has a cookie that was given; others may set more."""
        if not scope["path"].startswith(f"{self.root}/"):
            return False
        parts = [part.strip().partition("=") for part in headers.get("cookie", "").split(";")]
        offered = [value for name, _, value in parts if name == COOKIE][:COOKIES]
        return any(_same(value, session) for value in offered for session in self.sessions)


def _same(offered: str, secret: str) -> bool:
    return hmac.compare_digest(offered.encode(), secret.encode())


def _refused(text: str) -> Response:
    return PlainTextResponse(f"s2sw review: {text}\n", status_code=403)
