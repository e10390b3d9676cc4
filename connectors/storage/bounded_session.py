"""An HTTP session for S3 clients that stays at its endpoint and holds no answer but an object at any size.

aiobotocore leaves redirects to aiohttp, which follows an answer to whatever address it names, signature and
all; and it reads listings and errors whole, however long they are.
"""

import asyncio
import re
from typing import Any

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.httpsession import AIOHTTPSession
from botocore.exceptions import (  # type: ignore[import-untyped]
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
)
from typing_extensions import override

ANSWER_BYTES = 32 << 20
"""A listing of 1000 keys of 1024 bytes, each byte written as an entity of XML, is smaller."""
ANSWER_SECONDS = 120.0
CHUNK = 1 << 16
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})")
FAILED = 300  # and above: an answer that is read as an error


class BoundedSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types
    """aiobotocore's session; a redirect is an answer like any other, which the client takes as an error."""

    @override
    async def send(self, request: Any) -> Any:
        streamed, request.stream_output = request.stream_output, True
        try:
            response = await super().send(request)
        finally:
            request.stream_output = streamed
        if not streamed or response.status_code >= FAILED:
            response._content = await _content(response, request.url)
        else:
            _check_range(request.headers.get("Range"), response)
        return response

    @override
    async def _get_session(self, proxy_url: str | None) -> "_Staying":
        return _Staying(await super()._get_session(proxy_url))


class _Staying:
    """The one method of an aiohttp session that is used, with redirects off."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, method: str, **options: Any) -> aiohttp.ClientResponse:
        return await self._session.request(method, allow_redirects=False, **options)


def _check_range(asked: str | bytes | None, response: AioAWSResponse) -> None:
    """Raise botocore's error where a part of an object was asked for, and more of it comes."""
    text = asked.decode() if isinstance(asked, bytes) else asked or ""
    found = _RANGE.fullmatch(text)
    if found is None:
        return
    length = response.headers.get("Content-Length", "")
    if not length.isascii() or not length.isdigit() or int(length) > int(found[2]) - int(found[1]) + 1:
        response.raw.close()
        raise HTTPClientError(error=f"{length or 'an unknown number of'} bytes for {text}")


async def _content(response: AioAWSResponse, url: str) -> bytes:
    """Return what an answer holds. Raises botocore's errors where that is too long, or takes too long."""
    data = bytearray()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while chunk := await response.raw.content.read(CHUNK):
                data += chunk
                if len(data) > ANSWER_BYTES:
                    response.raw.close()
                    raise HTTPClientError(error=f"an answer of more than {ANSWER_BYTES} bytes")
    except TimeoutError as error:
        response.raw.close()
        raise ReadTimeoutError(endpoint_url=url, error=error) from error
    except aiohttp.ClientError as error:
        raise ConnectionClosedError(endpoint_url=url, error=error) from error
    response.raw.release()
    return bytes(data)
