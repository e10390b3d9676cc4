"""An S3 double that takes keys to the letter and answers a few refusals; real servers tidy some keys up.

Of the protocol (Amazon S3 API) it knows listing with ``encoding-type=url`` in pages, by folders too, HEAD and
GET.
"""

import hashlib
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, quote, unquote

BUCKET = "bucket"
_ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;{etag}&quot;"
    "</ETag><Size>{size}</Size><StorageClass>{kind}</StorageClass></Contents>"
)
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"


@dataclass(frozen=True)
class Refusal:
    """An answer instead of an object: HTTP status, code and message."""

    status: int
    code: str
    message: str


ARCHIVED = Refusal(403, "InvalidObjectState", "The operation is not valid for the object's storage class")
UNDER_A_KEY = Refusal(
    400,
    "InvalidRequest",
    "The object was stored using a form of Server Side Encryption. "
    "The correct parameters must be provided to retrieve the object.",
)


class PlainS3:
    """Runs while the context is open. objects: bytes or a refusal by key; asked: how often
    each key was; listed: pages by prefix;
    refused: prefixes that may not be listed."""

    def __init__(self, objects: dict[str, bytes | Refusal], page: int = 1000) -> None:
        self.objects, self.page = objects, page
        self.asked: Counter[str] = Counter()
        self.listed: Counter[str] = Counter()
        self.refused: set[str] = set()

    def __enter__(self) -> "PlainS3":
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def listing(self, query: dict[str, list[str]]) -> str:
        """Return one page of keys that start with a prefix, encoded as asked for."""
        assert query.get("encoding-type") == ["url"], "control characters have no place in XML"
        start = bytes.fromhex(query.get("continuation-token", [""])[0]).decode()
        prefix, delimiter = (query.get(name, [""])[0] for name in ("prefix", "delimiter"))
        self.listed[prefix] += 1
        keys = sorted(
            {
                _rolled(key, prefix, delimiter)
                for key in self.objects
                if key.startswith(prefix) and key > start
            }
        )
        shown, rest = keys[: self.page], keys[self.page :]
        entries = ""
        for key in shown:
            if key not in self.objects or (delimiter and key.endswith(delimiter)):
                entries += f"<CommonPrefixes><Prefix>{quote(key)}</Prefix></CommonPrefixes>"
                continue
            found = self.objects[key]
            body = found if isinstance(found, bytes) else b"hidden"
            kind = "GLACIER" if found is ARCHIVED else "STANDARD"
            entries += _ENTRY.format(key=quote(key), etag=_etag(body), size=len(body), kind=kind)
        more = f"<NextContinuationToken>{shown[-1].encode().hex()}</NextContinuationToken>" if rest else ""
        return (
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{more}{entries}</ListBucketResult>"
        )


def _rolled(key: str, prefix: str, delimiter: str) -> str:
    """Return a key, or its part up to the first delimiter behind the prefix."""
    end = key.find(delimiter, len(prefix)) if delimiter else -1
    return key if end < 0 else key[: end + 1]


def _etag(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def _handler(server: PlainS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            bucket, _, key = unquote(path).removeprefix("/").partition("/")
            assert bucket == BUCKET
            if not key:
                self._list(parse_qs(query, keep_blank_values=True))
                return
            server.asked[key] += 1
            found = server.objects.get(key, Refusal(404, "NoSuchKey", "The specified key does not exist."))
            if isinstance(found, bytes):
                self._answer(200, found, ETag=f'"{_etag(found)}"')
            else:
                self._answer(found.status, _ERROR.format(code=found.code, message=found.message).encode())

        do_HEAD = do_GET

        def _list(self, query: dict[str, list[str]]) -> None:
            if query.get("prefix", [""])[0] in server.refused:
                self._answer(403, _ERROR.format(code="AccessDenied", message="not this one").encode())
            else:
                self._answer(200, server.listing(query).encode())

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
