"""Who may use the page: a browser on this machine that was given the token, and no other page in it."""

import hmac
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

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


@dataclass(frozen=True)
class Gate:
    """ASGI middleware in front of everything. token: the secret in the address that was printed."""

    app: ASGIApp
    token: str
    port: int

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
        hosts = {f"{name}:{self.port}" for name in ("127.0.0.1", "localhost")}
        if headers.get("host") not in hosts:  # a name of somebody else's that points here (DNS rebinding)
            return _refused(f"the page is at 127.0.0.1:{self.port} or localhost:{self.port} only")
        if scope["method"] not in READING and headers.get("origin") not in {f"http://{h}" for h in hosts}:
            return _refused("another page may not write here")
        if self._offered(scope) is None and not self._same(self._cookie(headers)):
            return _refused("open the address that s2sw review printed, with its token")
        return None

    def _entry(self, scope: Scope) -> Response | None:
        """Exchange the token in an address for a cookie, so that it stays in no history and no link."""
        offered = self._offered(scope)
        if offered is None:
            return None
        if not self._same(offered):
            return _refused("this token is not the one that s2sw review printed when it was started")
        response = RedirectResponse("/", status_code=303)
        response.set_cookie(self._cookie_name, self.token, httponly=True, samesite="strict", path="/")
        return response

    @property
    def _cookie_name(self) -> str:
        return f"s2sw-review-{self.port}"  # cookies are shared by all ports of a host

    def _offered(self, scope: Scope) -> str | None:
        if scope["path"] != "/" or scope["method"] != "GET":
            return None
        return QueryParams(scope["query_string"]).get("token")

    def _cookie(self, headers: Headers) -> str:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        found = cookies.get(self._cookie_name)
        return found.value if found else ""

    def _same(self, offered: str) -> bool:
        return hmac.compare_digest(offered.encode(), self.token.encode())


def _refused(text: str) -> Response:
    return PlainTextResponse(f"s2sw review: {text}\n", status_code=403)
