"""An HTTP session for S3 clients that stays at the endpoint it was given.

aiobotocore leaves it to aiohttp, which follows an answer to whatever address it names, signature and all.
"""

from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from typing_extensions import override


class StayingSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore has no types
    """aiobotocore's session; a redirect is an answer like any other, which the client takes as an error."""

    @override
    async def _get_session(self, proxy_url: str | None) -> "_Staying":
        return _Staying(await super()._get_session(proxy_url))


class _Staying:
    """The one method of an aiohttp session that is used, with redirects off."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, method: str, **options: Any) -> aiohttp.ClientResponse:
        return await self._session.request(method, allow_redirects=False, **options)
