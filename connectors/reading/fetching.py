"""Getting the bytes of a group of objects, some ahead of the one that is decoded."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from s2sw.connectors.reading.archives import MemberReader
from s2sw.connectors.reading.companions import is_second_half, read_companion
from s2sw.connectors.storage.objects import read_object
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

READ_AHEAD = 4  # objects fetched while one is decoded
READ_AHEAD_BYTES = 64 << 20  # larger objects are fetched only when their turn comes


@dataclass(frozen=True)
class Payload:
    """The bytes of one object; companion: the samples if it is the header of a NIfTI pair."""

    data: bytes
    companion: bytes | None = None


Get = Callable[[], Payload]
"""Returns the bytes, waiting if need be. Raises ScreeningError."""


@dataclass(frozen=True)
class Fetcher:
    """Fetches objects in their order.

    too_late: once it returns True, no request is made any more and none is waited for.
    """

    storage: StorageSettings
    decode: DecodeSettings
    too_late: Callable[[], bool]

    def payloads(self, objects: list[StoredObject]) -> Iterator[Get]:
        """Yield a function for each object, to be called before the next one is asked for."""
        archive: MemberReader | None = None
        with ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="fetch") as pool:
            ahead: list[Future[Payload] | None] = []
            for place, stored in enumerate(objects):
                while len(ahead) <= min(place + READ_AHEAD, len(objects) - 1):
                    ahead.append(self._early(pool, objects[len(ahead)]))
                early, ahead[place] = ahead[place], None  # the bytes go when the caller is done with them
                if stored.member:
                    if archive is None or archive.uri != stored.uri:
                        archive = MemberReader(stored, self.storage, self.decode, self.too_late)
                    yield self._member_getter(archive, stored)
                else:
                    archive = None
                    yield early.result if early else self._getter(stored)

    def _early(self, pool: ThreadPoolExecutor, stored: StoredObject) -> Future[Payload] | None:
        if stored.member or stored.size > READ_AHEAD_BYTES or self.too_late():
            return None
        return pool.submit(self._fetch, stored)

    def _getter(self, stored: StoredObject) -> Get:
        return lambda: self._fetch(stored)

    def _member_getter(self, archive: MemberReader, stored: StoredObject) -> Get:
        return lambda: self._in_time(lambda: Payload(archive.read(stored)))

    def _fetch(self, stored: StoredObject) -> Payload:
        return self._in_time(lambda: self._read(stored))

    def _in_time(self, get: Get) -> Payload:
        if self.too_late():
            raise ScreeningError(Reason.TIME_WINDOW)
        return get()

    def _read(self, stored: StoredObject) -> Payload:
        if is_second_half(stored, self.storage):
            raise ScreeningError(Reason.NOT_AN_IMAGE, "screened with its header")
        data = read_object(stored, self.storage, self.decode.limits.object_bytes, self.too_late)
        return Payload(data, read_companion(stored, self.storage, self.decode))
