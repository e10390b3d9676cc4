"""What ``torch.save`` and TorchScript write, as nested containers of tensors; no code in a file is run.

Both write zip archives: one pickle, ``NAME/data.pkl``, and the numbers of each storage as a stored member,
``NAME/data/KEY``. Before PyTorch 1.6 ``torch.save`` wrote a row of pickles with the numbers behind them.
"""

import os
import struct
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2sw.model.weights.parts import SCRIPT, ModuleObject, RefusedError, StorageRef
from s2sw.model.weights.pickles import PICKLE_BYTES, read_pickle
from s2sw.model.weights.script import state_of
from s2sw.model.weights.storages import Storages

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
LOCAL_HEADER = struct.Struct("<4s22xHH")
"""Of a member of a zip archive: signature, and lengths of name and extra field (APPNOTE 4.3.7)."""
LENGTH_BYTES = 8
"""Of the number of elements before those of a storage."""
CHUNK = 16 << 20
"""Read from a file at a time, and the largest directory of an archive: some hundred bytes a tensor."""
CODE_BYTES = 16 << 20


def read_checkpoint(path: Path, classes: Collection[str] = ()) -> Any:
    """Return what lies in a file: nested containers of tensors, the state dict of a TorchScript module.

    classes: full names of classes of modules that it may hold as a whole; their ModuleObjects are returned.

    Raises RefusedError for anything else than tensors, numbers, texts and containers of them, and whatever
    the standard library raises for a file that is no archive and no pickle.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            file.seek(0)
            with _opened(file) as (archive, steps):
                return _Archive(archive, steps, size).content(classes)
        file.seek(0)
        return _read_legacy(file, size, classes)


def is_torchscript(path: Path) -> bool:
    """Tell whether a file is TorchScript, as OpenAI publishes its weights."""
    if not zipfile.is_zipfile(path):
        return False
    with path.open("rb") as file, _opened(file) as (archive, _):
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


class _Steps(BufferedReader):
    """A file that is read in steps of bounded size, whatever an archive says of itself."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(CHUNK + 1 if size is None or size < 0 else min(size, CHUNK + 1))
        if len(data) > CHUNK:
            raise RefusedError(f"its directory is larger than {CHUNK} bytes")
        return data


@contextmanager
def _opened(file: BufferedReader) -> Iterator[tuple[zipfile.ZipFile, "_Steps"]]:
    steps = _Steps(file.raw)
    try:
        with zipfile.ZipFile(steps) as archive:
            yield archive, steps
    finally:
        steps.detach()


class _Archive:
    """The members of a checkpoint by their names below its one folder."""

    def __init__(self, archive: zipfile.ZipFile, file: BufferedReader, size: int) -> None:
        self._archive = archive
        self._file = file
        self._size = size
        names = archive.namelist()
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1 or len(set(names)) != len(names):
            raise RefusedError("an archive with one data.pkl is expected, and no name twice")
        self._folder = pickles[0].removesuffix("data.pkl")

    def content(self, classes: Collection[str]) -> Any:
        if self._has("byteorder") and self._small("byteorder", 16) != b"little":
            raise RefusedError("its numbers are big-endian; save it again on a machine that is not")
        pickle = BytesIO(self._small("data.pkl", PICKLE_BYTES))
        found = read_pickle(pickle, Storages(self._numbers, self._size), classes)
        scripted = isinstance(found, ModuleObject) and found.kind.startswith(SCRIPT)
        return state_of(found, self._code) if scripted else found

    def _has(self, name: str) -> bool:
        return f"{self._folder}{name}" in self._archive.NameToInfo

    def _info(self, name: str) -> zipfile.ZipInfo:
        if not self._has(name):
            raise RefusedError(f"its member {name[:80]!r} is missing")
        return self._archive.getinfo(f"{self._folder}{name}")

    def _small(self, name: str, most: int) -> bytes:
        """Return a member that may be compressed. Raises RefusedError if it unpacks to more than ``most``."""
        with self._archive.open(self._info(name)) as stream:
            data = stream.read(most + 1)
        if len(data) > most:
            raise RefusedError(f"its member {name[:80]!r} unpacks to more than {most} bytes")
        return data

    def _code(self, name: str) -> str:
        """Return a file of a TorchScript archive's code, as text to look names up in."""
        return self._small(f"code/{name}", CODE_BYTES).decode("utf-8", "replace")

    def _numbers(self, ref: StorageRef, memory: memoryview) -> None:
        info = self._info(f"data/{ref.key}")
        sizes = {info.file_size, info.compress_size, len(memory)}
        if info.compress_type != zipfile.ZIP_STORED or len(sizes) > 1:
            raise RefusedError(f"its storage {ref.key[:40]!r} is not of the size that its tensors need")
        self._file.seek(info.header_offset)
        header = bytearray(LOCAL_HEADER.size)
        _fill(memoryview(header), self._file)
        signature, name, extra = LOCAL_HEADER.unpack(header)
        if signature != b"PK\x03\x04":
            raise RefusedError(f"its storage {ref.key[:40]!r} is not where its directory says")
        self._file.seek(name + extra, os.SEEK_CUR)
        _fill(memory, self._file)


def _read_legacy(file: BufferedReader, size: int, classes: Collection[str]) -> Any:
    """Read a row of pickles (magic number, version, system, content, keys), then the storages' numbers.

    The content is read twice: where a storage lies is known once all of them are.
    """
    seen = _Seen()
    if read_pickle(file, seen) != LEGACY_MAGIC or read_pickle(file, seen) != LEGACY_PROTOCOL:
        raise RefusedError("neither an archive of torch.save nor a file of its earlier form")
    read_pickle(file, seen)  # of the machine that wrote it
    start = file.tell()
    read_pickle(file, seen, classes)
    end = file.tell()
    keys = read_pickle(file, seen)
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(seen.refs):
        raise RefusedError("it does not hold the storages that its tensors need")
    places, at = {}, file.tell()
    for key in keys:
        places[key] = at
        at += LENGTH_BYTES + seen.refs[key].size

    def numbers(ref: StorageRef, memory: memoryview) -> None:
        file.seek(places[ref.key])
        if int.from_bytes(file.read(LENGTH_BYTES), "little") != ref.length:
            raise RefusedError(f"its storage {ref.key[:40]!r} is not of the size that its tensors need")
        _fill(memory, file)

    file.seek(start)
    return read_pickle(BytesIO(file.read(end - start)), Storages(numbers, size), classes)


class _Seen:
    """Stands in for ``Storages`` and notes which storages tensors need."""

    def __init__(self) -> None:
        self.refs: dict[str, StorageRef] = {}

    def tensor(self, ref: StorageRef, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        self.refs[ref.key] = ref
        return torch.empty(0)


def _fill(memory: memoryview, file: BufferedReader) -> None:
    """Fill the memory from a file. Raises RefusedError where the file ends before."""
    at = 0
    while at < len(memory):
        count = file.readinto(memory[at:])
        if not count:
            raise RefusedError("it is cut")
        at += count
