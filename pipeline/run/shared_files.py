"""Files of the driver that processes on other machines read: they go through Ray's object store."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from typing_extensions import override

from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.profile.place import ProfilePlace
from s2sw.schemas.forms import TOWER_GRID


class SharedTodo(Todo):
    """A to-do list whose files are in the object store, once a node that reads them.

    Ray keeps them for as long as this object lives.
    """

    def __init__(self, todo: Todo) -> None:
        super().__init__(todo.folder, todo.groups, todo.objects, todo.group_size, todo.prefix)
        self._files = [_put(path.read_bytes()) for path in todo.paths]

    @override
    def _file(self, number: int) -> pq.ParquetFile:
        return pq.ParquetFile(pa.BufferReader(_get(self._files[number])))


@dataclass(frozen=True)
class SharedProfile(ProfilePlace):
    """A profile whose banks are in the object store. banks: by name of their files."""

    banks: Mapping[str, Any]

    @override
    def folder(self) -> ProfileFolder:
        return _SharedFolder(self)


class _SharedFolder(ProfileFolder):
    """What of a profile's folder the processes that detect read."""

    def __init__(self, place: SharedProfile) -> None:
        super().__init__(place.address, place.storage)
        self._banks = place.banks

    @override
    def file_bytes(self, name: str, most: int) -> bytes:
        data: bytes = _get(self._banks[name]).to_pybytes()
        return data


def shared_profile(place: ProfilePlace) -> ProfilePlace:
    """Return a profile as processes of other machines can read it, without rights of their own."""
    folder = place.folder()
    banks = {
        group.file: _put(folder.file_bytes(group.file, group.most_bytes(TOWER_GRID**2)))
        for group in place.record.groups
    }
    return SharedProfile(**{one.name: getattr(place, one.name) for one in fields(place)}, banks=banks)


def _put(data: bytes) -> Any:
    # a buffer, unlike bytes, is read where it lies
    return ray.put(pa.py_buffer(data))


def _get(reference: Any) -> pa.Buffer:
    return ray.get(reference)
