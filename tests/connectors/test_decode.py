"""Dispatch: what is sniffed, what is refused, and that only ScreeningError leaves a decoder."""

import gzip
import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from s2sw.connectors.decode import Format, decode, sniff
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

SETTINGS = DecodeSettings()


def encoded(form: str, mode: str = "RGB", **options: object) -> bytes:
    grid = np.add.outer(np.arange(40) * 3, np.arange(60) * 2).astype(np.uint8)
    picture = Image.fromarray(np.stack([grid, grid.T.repeat(2, 0)[:40, :1].repeat(60, 1), 255 - grid], -1))
    out = BytesIO()
    picture.convert(mode).save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000"])
def test_every_raster_format_is_told_by_content(form: str) -> None:
    data = encoded(form)
    assert sniff(data) == form.lower()
    name, slices = decode(data, SETTINGS)
    (page,) = slices
    assert name == form.lower()
    assert page.pixels.shape == (40, 60, 3)
    assert page.pixels.dtype == np.uint8
    assert page.plane == "image"


def test_pictures_need_no_libraries_of_medical_formats() -> None:
    code = """import sys
from s2sw.connectors.decode import decode
from s2sw.schemas.decoding import DecodeSettings
next(decode(sys.stdin.buffer.read(), DecodeSettings())[1])
print({"pydicom", "nibabel"} & set(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], input=encoded("PNG"), capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


def test_gzip_around_an_image_is_transparent() -> None:
    name, slices = decode(gzip.compress(encoded("PNG")), SETTINGS)
    assert name == "png"
    assert next(slices).pixels.shape == (40, 60, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (gzip.compress(b"", mtime=0), Reason.UNKNOWN_FORMAT),
        (b"a page of text, " * 40, Reason.UNKNOWN_FORMAT),
        (b"GIF89a" + bytes(50), Reason.TRUNCATED),
        (b"%PDF-1.7" + bytes(50), Reason.UNSUPPORTED),
        (b"PK\x03\x04" + bytes(50), Reason.UNSUPPORTED),
        (encoded("PNG")[:-40], Reason.TRUNCATED),
        (encoded("JPEG")[:600], Reason.TRUNCATED),
    ],
)
def test_refusals_have_reasons(data: bytes, reason: Reason) -> None:
    with pytest.raises(ScreeningError) as refusal:
        list(decode(data, SETTINGS)[1])
    assert refusal.value.reason is reason


@pytest.mark.parametrize("head", range(0, 40, 3))
def test_sniff_takes_any_short_head(head: int) -> None:
    for form in ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "JPEG2000"):
        assert isinstance(sniff(encoded(form)[:head]), Format)
