"""What storage knows of one object."""

import errno
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One listed object.

    etag: the store's own version mark; for local files the modification time (ns) and the size in hex.
    modified: seconds since the epoch, UTC. member, place: name and position of a file in the archive at
    ``uri``; size is then the file's, and etag the archive's.
    """

    uri: str
    size: int
    etag: str
    modified: float
    member: str = ""
    place: int = 0

    @property
    def address(self) -> str:
        """The uri, with the member's name behind an exclamation mark."""
        return f"{self.uri}!{self.member}" if self.member else self.uri

    @property
    def version(self) -> str:
        """The version mark; with the position of a member, since an archive may use a name twice."""
        return f"{self.etag}!{self.place}" if self.member else self.etag


def whole(data: bytes, stored: StoredObject) -> bytes:
    """Return the bytes if they are as many as were listed; raises OSError where they are not."""
    if len(data) != stored.size:
        raise OSError(errno.EIO, f"{len(data)} of {stored.size} bytes read")
    return data
