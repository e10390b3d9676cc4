"""Zip and tar archives: their members, each an object of its own (``archive!member``), one at a time."""

import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TypeVar

from s2sw.connectors.archives.tar import Read, TarEntry, entries
from s2sw.connectors.guard import guarded, reason_for
from s2sw.connectors.preflight.formats import CONTAINERS, Format, sniff, unwrapped
from s2sw.connectors.preflight.inflate import Inflater
from s2sw.connectors.preflight.limits import check_inflated, check_object, check_ratio
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

T = TypeVar("T")

CHUNK = 1 << 20
_FILE_HEADER = b"PK\x01\x02"
_END_RECORD = b"PK\x05\x06"
_END_RECORD_BYTES = 22
_LOCATOR = b"PK\x06\x07"
_LOCATOR_BYTES = 20
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive: its bytes, or the reason why they are not read.

    name: as the archive has it; never a way out of the archive unless ``reason`` is ``unsafe_member``.
    """

    name: str
    data: bytes = b""
    reason: Reason | None = None


def is_container(data: bytes) -> bool:
    """Tell whether an object is an archive whose members are objects: zip, tar, tar in gzip."""
    form = sniff(data)
    return form in CONTAINERS or (form is Format.GZIP and unwrapped(data) is Format.TAR)


def members(data: bytes, settings: DecodeSettings) -> Iterator[Member]:
    """Yield the files of an archive in order, without directories, one in memory at a time.

    A member that cannot be read has a reason and the next one follows. Raises ScreeningError where the
    archive as a whole cannot be read on: TOO_LARGE, BOMB, MALFORMED, TRUNCATED, UNSUPPORTED (no archive).
    """
    return _walk(data, settings.limits, _zip_members, _tar_members)


def list_members(data: bytes, settings: DecodeSettings) -> Iterator[tuple[str, int]]:
    """Yield name and unpacked size of what ``members`` yields, in the same order; zip is not unpacked.

    Raises ScreeningError as ``members`` does.
    """
    return _walk(data, settings.limits, _zip_names, _tar_names)


def _walk(
    data: bytes,
    limits: Limits,
    of_zip: Callable[[bytes, Limits], Iterator[T]],
    of_tar: Callable[[Read, int, Limits], Iterator[T]],
) -> Iterator[T]:
    check_object(data, limits)
    form = sniff(data)
    if form is Format.ZIP:
        return guarded(of_zip(data, limits))
    if form is Format.TAR:
        return guarded(of_tar(BytesIO(data).read, len(data), limits))
    if form is Format.GZIP and unwrapped(data) is Format.TAR:
        return guarded(of_tar(Inflater(data, limits).read, len(data), limits))
    raise ScreeningError(Reason.UNSUPPORTED, f"{form} is no archive")


def is_safe(name: str) -> bool:
    """Tell whether a member's name stays inside its archive: relative, without ``..``, drive or NUL."""
    parts = name.replace("\\", "/").split("/")
    return bool(name) and "\x00" not in name and parts[0] != "" and ".." not in parts and ":" not in parts[0]


@contextmanager
def _open_zip(data: bytes, limits: Limits) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    _check_directory(data, limits)
    with zipfile.ZipFile(BytesIO(data)) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        _check_zip(infos, len(data), limits)
        yield archive, infos


def _zip_names(data: bytes, limits: Limits) -> Iterator[tuple[str, int]]:
    with _open_zip(data, limits) as (_, infos):
        yield from ((info.filename, info.file_size) for info in infos)


def _zip_members(data: bytes, limits: Limits) -> Iterator[Member]:
    with _open_zip(data, limits) as (archive, infos):
        for info in infos:
            try:
                yield Member(info.filename, _zip_member(archive, info, limits))
            except ScreeningError as refusal:
                yield Member(info.filename, reason=refusal.reason)
            except Exception as error:  # noqa: BLE001 - one damaged member must not hide the others
                yield Member(info.filename, reason=reason_for(error))


def _check_directory(data: bytes, limits: Limits) -> None:
    """Refuse too many entries before zipfile makes an object of each."""
    end = data.rfind(_END_RECORD)
    if end < 0 or len(data) < end + _END_RECORD_BYTES:
        raise ScreeningError(Reason.TRUNCATED, "zip without its directory")
    size = int.from_bytes(data[end + 12 : end + 16], "little")
    # with a ZIP64 record zipfile goes by that one, whatever stands here
    zip64 = data[max(0, end - _LOCATOR_BYTES) : end].startswith(_LOCATOR)
    start = 0 if zip64 else max(0, end - size)
    if data.count(_FILE_HEADER, start, end) > limits.members:
        raise ScreeningError(Reason.TOO_LARGE, f"more than {limits.members} members")


def _check_zip(infos: list[zipfile.ZipInfo], stored: int, limits: Limits) -> None:
    """Refuse an archive that declares more than it may unpack to, or whose members share bytes."""
    check_inflated(sum(info.file_size for info in infos), stored, limits)
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise ScreeningError(Reason.BOMB, "zip members overlap")
        end = info.header_offset + _LOCAL_HEADER_BYTES + info.compress_size


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: Limits) -> bytes:
    if not is_safe(info.filename) or stat.S_ISLNK(info.external_attr >> 16):
        raise ScreeningError(Reason.UNSAFE_MEMBER)
    # bzip2 and LZMA members are unpacked by zipfile without a bound on a step
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ScreeningError(Reason.UNSUPPORTED, "encrypted or not deflated")
    if info.file_size > limits.object_bytes:
        raise ScreeningError(Reason.TOO_LARGE, "object_bytes")
    check_ratio(info.file_size, info.compress_size, limits)
    with archive.open(info) as stream:
        return b"".join(iter(lambda: stream.read(CHUNK), b""))


def _tar_entries(read: Read, stored: int, limits: Limits) -> Iterator[tuple[TarEntry, Callable[[], bytes]]]:
    for count, entry in enumerate(entries(read, limits), 1):
        if count > limits.members:
            raise ScreeningError(Reason.TOO_LARGE, f"more than {limits.members} members")
        check_inflated(entry[0].size, stored, limits)
        yield entry


def _tar_names(read: Read, stored: int, limits: Limits) -> Iterator[tuple[str, int]]:
    yield from ((entry.name, entry.size) for entry, _ in _tar_entries(read, stored, limits))


def _tar_members(read: Read, stored: int, limits: Limits) -> Iterator[Member]:
    for entry, content in _tar_entries(read, stored, limits):
        reason = _tar_refusal(entry)
        yield Member(entry.name, reason=reason) if reason else Member(entry.name, content())


def _tar_refusal(entry: TarEntry) -> Reason | None:
    if entry.sparse:
        return Reason.UNSUPPORTED
    return None if entry.regular and is_safe(entry.name) else Reason.UNSAFE_MEMBER
