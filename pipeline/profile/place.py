"""What travels to the processes that detect: where a profile lies, and what a slice is for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.profile.stream import Stream
from s2sw.schemas.profile import ProfileRecord, of_tiles
from s2sw.schemas.storage import StorageSettings


@dataclass(frozen=True)
class ProfilePlace:
    """What a process needs to read a profile: where it lies, how that is reached, and its record."""

    address: str
    storage: StorageSettings
    record: ProfileRecord

    def folder(self) -> ProfileFolder:
        """Return what reads its banks."""
        return ProfileFolder(self.address, self.storage)


@dataclass(frozen=True)
class OnlinePlace(ProfilePlace):
    """In place of a profile: what came before. It stays in the process of the run, which alone scores."""

    stream: Stream


def with_part_of(place: ProfilePlace | None) -> Callable[[str, Sequence[str]], None]:
    """Return what a writer calls with each part: it keeps the state of what came before."""
    return place.stream.save if isinstance(place, OnlinePlace) else lambda *_: None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a slice is for a profile: its object's id, its case ("" for none), and its groups' names."""

    owner: str
    case: str
    groups: tuple[str, ...]

    def of_tiles(self) -> "Subject":
        """Return what the slice's tiles are."""
        return replace(self, groups=tuple(map(of_tiles, self.groups)))
