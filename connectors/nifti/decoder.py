"""NIfTI volumes to slices, from plain bytes or straight out of a gzip stream, never a volume at a time."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.grey import Frame, Grey, Levels, Tally, linear, percentile_range, render
from s2sw.connectors.nifti.header import HEADER_BYTES, VolumeHeader, read_header
from s2sw.connectors.nifti.planes import plane_of, turn_of
from s2sw.connectors.preflight.formats import Format, sniff
from s2sw.connectors.preflight.inflate import Inflater, inflate
from s2sw.connectors.preflight.limits import check_inflated, check_object
from s2sw.connectors.slices import Original, Slice
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

BATCH_BYTES = 128 << 20
"""Where slices run across the stored order, so many bytes of them are gathered in one pass of the stream."""
_COLOURS = 3

Upright = NDArray[Any]
Planes = Callable[[int], Iterator[Frame]]
"""From an axis (0, 1 or 2, as stored) to the planes across it, of all volumes, in stored order."""


def decode_nifti(data: bytes, settings: DecodeSettings, originals: bool = False) -> Iterator[Slice]:
    """Yield the slices of an uncompressed ``.nii`` file. Raises ScreeningError."""
    header = read_header(data[:HEADER_BYTES], settings)
    yield from _slices(header, _plain_planes(header, data, header.offset), settings, originals)


def decode_nifti_pair(
    header_file: bytes, samples: bytes, settings: DecodeSettings, originals: bool = False
) -> Iterator[Slice]:
    """Yield the slices of a ``.hdr``/``.img`` pair, given the bytes of both, each in gzip or not."""
    check_object(samples, settings.limits)
    header_file, samples = (
        inflate(half, settings.limits) if sniff(half) is Format.GZIP else half
        for half in (header_file, samples)
    )
    header = read_header(header_file[:HEADER_BYTES], settings)
    yield from _slices(header, _plain_planes(header, samples, header.offset), settings, originals)


def decode_nifti_gz(data: bytes, settings: DecodeSettings, originals: bool = False) -> Iterator[Slice]:
    """Yield the slices of a ``.nii.gz`` file, inflating it as they come. Raises ScreeningError."""
    header = read_header(Inflater(data, settings.limits).read(HEADER_BYTES), settings)
    check_inflated(header.volume_bytes * header.volumes, len(data), settings.limits)
    yield from _slices(header, _stream_planes(header, data, settings.limits), settings, originals)


def _plain_planes(header: VolumeHeader, data: bytes, offset: int) -> Planes:
    if len(data) < offset + header.volume_bytes * header.volumes:
        raise ScreeningError(Reason.TRUNCATED, "fewer samples than the header declares")
    volumes: Frame = np.ndarray(
        (*header.shape, header.volumes), header.dtype, buffer=data, offset=offset, order="F"
    )

    def planes(axis: int) -> Iterator[Frame]:
        for volume in range(header.volumes):
            for index in range(header.shape[axis]):
                yield np.take(volumes[..., volume], index, axis=axis)

    return planes


def _stream_planes(header: VolumeHeader, data: bytes, limits: Limits) -> Planes:
    def planes(axis: int) -> Iterator[Frame]:
        if axis == 2:
            yield from _slabs(header, data, limits)
            return
        for volume in range(header.volumes):
            yield from _across(header, data, axis, volume, limits)

    return planes


def _slabs(header: VolumeHeader, data: bytes, limits: Limits) -> Iterator[Frame]:
    """Yield the (nx, ny) planes of all volumes in stored order, inflating one at a time."""
    nx, ny, nz = header.shape
    stream, size = Inflater(data, limits), nx * ny * header.dtype.itemsize
    stream.skip(header.offset)
    for _ in range(nz * header.volumes):
        part = stream.read(size)
        if len(part) < size:
            raise ScreeningError(Reason.TRUNCATED, "fewer samples than the header declares")
        yield np.frombuffer(part, header.dtype).reshape((nx, ny), order="F")


def _across(header: VolumeHeader, data: bytes, axis: int, volume: int, limits: Limits) -> Iterator[Frame]:
    """Yield the planes across the first or second axis: pass after pass over the stream, a batch in each."""
    depth = header.shape[2]
    other = header.shape[1 - axis]
    batch = max(1, BATCH_BYTES // (other * depth * header.dtype.itemsize))
    for start in range(0, header.shape[axis], batch):
        count = min(batch, header.shape[axis] - start)
        gathered = np.empty((count, other, depth), header.dtype)
        for index, slab in enumerate(_slabs(header, data, limits)):
            if index >= (volume + 1) * depth:
                break
            if index >= volume * depth:
                part = slab[start : start + count] if axis == 0 else slab[:, start : start + count].T
                gathered[:, :, index - volume * depth] = part
        yield from gathered


def _slices(
    header: VolumeHeader, planes: Planes, settings: DecodeSettings, originals: bool
) -> Iterator[Slice]:
    coloured = header.dtype.names is not None
    transfer, applied = (None, ("rgb",)) if coloured else _transfer(header, planes, settings)
    for index, plane in enumerate(planes(header.axis)):
        shown = _rgb(plane) if transfer is None else render(_real(plane), transfer)
        original = _original(plane, header) if originals else None
        where = plane_of(header, index % header.shape[header.axis])
        yield Slice(_upright(shown, header), header.plane, applied=applied, geometry=where, original=original)


def _original(plane: Frame, header: VolumeHeader) -> Original:
    if header.dtype.names is not None:
        return Original()
    return Original(_upright(_real(plane), header), header.slope, header.intercept)


def _transfer(
    header: VolumeHeader, planes: Planes, settings: DecodeSettings
) -> tuple[Callable[[Levels], Grey], tuple[str, ...]]:
    """Return how samples become grey: one range for the whole file, so that its slices compare."""
    slope, intercept = header.slope, header.intercept
    applied: tuple[str, ...] = ("rescale",) if (slope, intercept) != (1.0, 0.0) else ()
    if header.dtype.kind == "c":
        applied += ("magnitude",)
    if header.window is not None:
        low, high = header.window
        applied += ("window",)
    else:
        tally = Tally(header.samples)
        for plane in planes(2):
            tally.add(_real(plane))
        levels, counts = tally.levels()
        low, high = percentile_range(levels * slope + intercept, counts, settings.percentiles)
        applied += ("percentile",)
    return (lambda values: linear(values * slope + intercept, low, high)), applied


def _real(plane: Frame) -> Frame:
    return np.abs(plane) if plane.dtype.kind == "c" else plane


def _rgb(plane: Frame) -> NDArray[np.uint8]:
    names = plane.dtype.names or ()
    return np.stack([plane[name] for name in names[:_COLOURS]], axis=-1).astype(np.uint8)


def _upright(plane: Upright, header: VolumeHeader) -> Upright:
    """Turn a plane as ``planes.Turn`` says. ``plane``: its axes in stored order, colours last if any."""
    turn = turn_of(header)
    if turn.flip_first:
        plane = plane[::-1]
    if turn.flip_second:
        plane = plane[:, ::-1]
    if turn.swap:
        plane = plane.swapaxes(0, 1)
    return np.ascontiguousarray(plane)
