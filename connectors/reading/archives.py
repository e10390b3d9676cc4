"""Objects that lie in other objects: files in zip and tar archives, and the halves of NIfTI pairs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from s2sw.connectors.archives.members import Member, list_members, members
from s2sw.connectors.storage.objects import read_object, stat_object
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")


def is_archive(uri: str) -> bool:
    """Tell whether an object is listed by its members; by name, so that listing reads nothing else."""
    return uri.lower().endswith(ARCHIVE_SUFFIXES)


def expand_archives(
    objects: Iterable[StoredObject], storage: StorageSettings, settings: DecodeSettings
) -> Iterator[StoredObject]:
    """Put the files of each archive in its place. An archive that cannot be read, or is empty, stays itself.

    Every archive is read once for this; members of archives are passed on.
    """
    for stored in objects:
        if stored.member or not is_archive(stored.uri):
            yield stored
            continue
        try:
            data = read_object(stored, storage, settings.limits.object_bytes)
            listed = list(list_members(data, settings))
        except ScreeningError:  # decoding it will meet the same, and write the reason down
            listed = []
        if not listed:
            yield stored
        for place, (name, size) in enumerate(listed):
            yield replace(stored, size=size, member=name, place=place)


def refuse_archive(data: bytes, settings: DecodeSettings) -> ScreeningError:
    """Return why an archive that was listed as itself cannot be screened."""
    try:
        count = sum(1 for _ in list_members(data, settings))
    except ScreeningError as error:
        return error
    # it can be read now, so its members are there for the next listing
    return ScreeningError(Reason.IO_ERROR if count else Reason.EMPTY)


class MemberReader:
    """The files of one archive, asked for in the order of their places; the archive is read once."""

    def __init__(
        self,
        stored: StoredObject,
        storage: StorageSettings,
        settings: DecodeSettings,
        too_late: Callable[[], bool] = lambda: False,
    ) -> None:
        """too_late: as of ``read_object``."""
        self._too_late = too_late
        self.uri = stored.uri
        self._archive = replace(stored, member="", place=0, size=-1)
        self._storage, self._settings = storage, settings
        self._members: Iterator[tuple[int, Member]] | None = None

    def read(self, stored: StoredObject) -> bytes:
        """Return the bytes of one file. Raises ScreeningError: its own reason, or the archive's."""
        if self._members is None:
            self._members = enumerate(members(self._read_archive(), self._settings))
        for place, member in self._members:
            if place == stored.place:
                if member.reason is not None:
                    raise ScreeningError(member.reason)
                return member.data
        raise ScreeningError(Reason.TRUNCATED, "the archive ends before this member")

    def _read_archive(self) -> bytes:
        # the listing has the sizes of the members; the archive's own is what it is now, under the same ETag
        now = stat_object(self.uri, self._storage)
        if now.etag != self._archive.etag:
            raise ScreeningError(Reason.CHANGED, self.uri)
        return read_object(now, self._storage, self._settings.limits.object_bytes, self._too_late)
