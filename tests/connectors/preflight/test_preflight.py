"""Headers read before decoding: right on honest files, harmless on any bytes."""

import gzip
import zlib
from contextlib import suppress
from io import BytesIO

import numpy as np
import openjpeg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from s2sw.connectors.dicom.layout import scan
from s2sw.connectors.preflight.formats import Format, sniff, unwrapped
from s2sw.connectors.preflight.inflate import Inflater, inflate
from s2sw.connectors.preflight.jpeg import jpeg_header
from s2sw.connectors.preflight.jpeg2000 import check_structure, j2k_header
from s2sw.connectors.preflight.limits import check_geometry, check_ratio
from s2sw.connectors.preflight.tiff import chain
from s2sw.connectors.preflight.tiff_pages import find_pages
from s2sw.schemas.decoding import Limits
from s2sw.schemas.outcomes import Reason, ScreeningError
from tests.support.bombs import j2k_codestream
from tests.support.writing import native, picture

LIMITS = Limits()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\x00\x00" + bytes(3000)}])
@pytest.mark.parametrize(("mode", "components"), [("L", 1), ("RGB", 3), ("CMYK", 4)])
def test_jpeg_headers(mode: str, components: int, options: dict[str, object]) -> None:
    found = jpeg_header(picture("JPEG", 33, 47, mode, **options))
    assert found is not None
    assert (found.rows, found.cols, found.components, found.precision) == (33, 47, components, 8)


def test_j2k_headers() -> None:
    found = j2k_header(picture("JPEG2000", 33, 47))
    assert found is not None
    assert (found.rows, found.cols, found.components, found.precision) == (33, 47, 3, 8)


@pytest.mark.parametrize("options", [
    {}, {"num_resolutions": 1}, {"codeblock_size": (16, 16)}, {"precinct_size": (128, 128)},
    {"tile_size": (128, 128)}, {"quality_layers": [60, 30, 15, 5]},
])  # fmt: skip
def test_honest_j2k_structures_pass(options: dict[str, object]) -> None:
    check_structure(picture("JPEG2000", 1000, 1400, **options))
    check_structure(bytes(openjpeg.encode(np.zeros((700, 500), np.uint16))))  # type: ignore[attr-defined]


def test_a_large_honest_j2k_header_passes() -> None:
    check_structure(j2k_codestream(32768, 32768, tile=256))
    check_structure(j2k_codestream(32768, 32768, layers=20, precinct=8))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("pages", [1, 2, 7])
def test_tiff_pages_are_counted(pages: int, big: bool) -> None:
    frames = [Image.fromarray(np.full((9, 9), page, np.uint8)) for page in range(pages)]
    out = BytesIO()
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:], big_tiff=big)
    assert len(chain(out.getvalue(), LIMITS)) == pages


@given(st.binary(max_size=5000), st.integers(1, 700))
def test_inflating_in_parts_gives_the_whole(content: bytes, size: int) -> None:
    for packed, wbits in ((gzip.compress(content), 31), (zlib.compress(content), 15)):
        stream, parts = Inflater(packed, LIMITS, wbits), []
        while part := stream.read(size):
            parts.append(part)
        assert b"".join(parts) == content == inflate(packed, LIMITS, wbits)
    two = gzip.compress(content) + gzip.compress(b"end")
    assert inflate(two, LIMITS) == content + b"end"
    assert inflate(two + bytes(512), LIMITS) == content + b"end"  # tape blocks are filled up with zeros


@given(st.integers(1, 60))
def test_a_cut_stream_is_truncated(cut: int) -> None:
    packed = gzip.compress(bytes(range(256)) * 4)
    with pytest.raises(ScreeningError, match=Reason.TRUNCATED):
        inflate(packed[:-cut], LIMITS)


def test_limits_are_what_they_say() -> None:
    assert check_geometry(16384, 16384, 1, LIMITS) == 1 << 28
    for rows, cols, size in ((32769, 1, 1), (1, 32769, 1), (32768, 32768, 2)):
        with pytest.raises(ScreeningError, match=Reason.TOO_LARGE):
            check_geometry(rows, cols, size, LIMITS)
    check_ratio(32 << 20, 1, LIMITS)
    check_ratio(256 << 20, 1 << 20, LIMITS)
    with pytest.raises(ScreeningError, match=Reason.BOMB):
        check_ratio((256 << 20) + 1, 1 << 20, LIMITS)


HEADS = st.sampled_from([
    b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"II*\x00", b"MM\x00+", bytes(128) + b"DICM",
    native(np.zeros((4, 4), np.int16)), j2k_codestream(64, 64)[:80], picture("JPEG")[:200],
])  # fmt: skip


@given(HEADS, st.binary(max_size=400))
def test_any_bytes_are_harmless(head: bytes, tail: bytes) -> None:
    data = head + tail
    assert isinstance(sniff(data), Format)
    assert isinstance(unwrapped(data), Format)
    jpeg_header(data)
    j2k_header(data)
    for parse in (
        lambda: scan(data, LIMITS),
        lambda: find_pages(data, LIMITS),
        lambda: check_structure(data),
    ):
        with suppress(ScreeningError, zlib.error):
            parse()
