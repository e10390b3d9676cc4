"""The corpus of pydicom: 261 files, each with the one ending it must have, and their pixels pinned."""

import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from s2sw.connectors.decode import decode
from s2sw.connectors.dicom.frames import frames
from s2sw.connectors.dicom.functional_groups import frame_groups
from s2sw.connectors.dicom.header import image_header, read_header
from s2sw.connectors.dicom.layout import scan
from s2sw.connectors.dicom.modality import read_modality
from s2sw.schemas.decoding import DecodeSettings, Limits
from tests.support.corpus import ending, expected, files, plain_status

FILES = files()
TABLE = expected()
SCREENED = [name for name, row in TABLE.items() if row[1] == "screened"]


def test_table_and_corpus_are_the_same_files() -> None:
    assert set(FILES) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_each_file_ends_as_the_table_says(name: str) -> None:
    default, with_derived, count, pixels, why = TABLE[name]
    data = FILES[name].read_bytes()
    assert ending(data) == (with_derived, count, pixels)
    assert plain_status(data) == default
    assert (default == "screened") == (why == "")


def test_at_least_169_of_the_174_with_pixels_decode() -> None:
    with_pixels = [name for name, path in FILES.items() if _pydicom_finds_pixels(path)]
    assert len(with_pixels) == 174
    assert len(set(with_pixels) & set(SCREENED)) >= 169


def _pydicom_finds_pixels(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path, force=True)
        except zlib.error:
            return False
        return any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))


def stored_frames(name: str) -> tuple[list[np.ndarray[Any, Any]], Dataset]:
    layout = scan(FILES[name].read_bytes(), Limits())
    dataset = read_header(layout)
    decoded = frames(layout, image_header(dataset, layout), dataset, Limits())
    return [samples for samples, _ in decoded], dataset


def pydicom_frames(name: str) -> tuple[list[np.ndarray[Any, Any]], Dataset]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(FILES[name], force=True)
        try:
            pixels = dataset.pixel_array
        except Exception:  # noqa: BLE001 - for whatever reason
            pytest.skip("pydicom has no decoder for it here, or cannot read it")
        axes = 3 if dataset.get("SamplesPerPixel", 1) > 1 else 2
        return list(pixels) if pixels.ndim > axes else [pixels], dataset


@pytest.mark.parametrize("name", SCREENED)
def test_stored_values_are_those_of_pydicom(name: str) -> None:
    theirs, _ = pydicom_frames(name)
    ours, _ = stored_frames(name)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert np.array_equal(mine, other)


@pytest.mark.parametrize("name", SCREENED)
def test_windows_are_those_of_pydicom(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(FILES[name], force=True)
    if dataset.get("WindowCenter") in (None, "") or "MONOCHROME" not in dataset.get(
        "PhotometricInterpretation", ""
    ):
        pytest.skip("no window at the top level")
    if "PixelPaddingValue" in dataset or "VOILUTSequence" in dataset:
        pytest.skip("padding is black here; look-up tables are tested by hand")
    theirs, _ = pydicom_frames(name)
    values = apply_modality_lut(theirs[0], dataset)
    shown = apply_voi_lut(values, dataset)
    ends = apply_voi_lut(np.array([[-1e9, 1e9]]), dataset).ravel()
    grey = (shown - ends[0]) / (ends[1] - ends[0]) * 255
    if dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE":
        grey = 255 - grey
    first = next(decode(FILES[name].read_bytes(), DecodeSettings())[1])
    assert np.abs(first.pixels - grey).max() <= 0.5 + 1e-6


def test_ct_supplemental_spans_hounsfield_units_after_its_functional_groups() -> None:
    """pydicom sees no slope at the top level and leaves 0..1196."""
    name = next(known for known in FILES if known.endswith("eCT_Supplemental.dcm"))
    stored, dataset = stored_frames(name)
    values = [
        read_modality(frame_groups(dataset, at), True, False)(frame.astype(float))
        for at, frame in enumerate(stored)
    ]
    assert (min(v.min() for v in values), max(v.max() for v in values)) == (-1024, 172)


@pytest.mark.parametrize(("one", "other"), [
    ("OBXXXX1A.dcm", "OBXXXX1A_expb.dcm"), ("OBXXXX1A.dcm", "OBXXXX1A_rle.dcm"),
    ("MR_small.dcm", "MR_small_RLE.dcm"), ("MR_small.dcm", "MR_small_bigendian.dcm"),
    ("MR_small.dcm", "MR_small_implicit.dcm"), ("MR_small.dcm", "MR_small_jp2klossless.dcm"),
    ("MR_small.dcm", "MR_small_jpeg_ls_lossless.dcm"), ("emri_small.dcm", "emri_small_RLE.dcm"),
    ("emri_small.dcm", "emri_small_big_endian.dcm"), ("emri_small.dcm", "emri_small_jpeg_2k_lossless.dcm"),
    ("SC_rgb.dcm", "SC_rgb_rle.dcm"), ("SC_rgb_16bit.dcm", "SC_rgb_expb_16bit.dcm"),
    ("SC_rgb_32bit.dcm", "SC_rgb_expb_32bit.dcm"),
])  # fmt: skip
def test_one_picture_in_two_syntaxes_looks_the_same(one: str, other: str) -> None:
    hashes = [
        next(row[3] for name, row in TABLE.items() if name.endswith("/" + wanted)) for wanted in (one, other)
    ]
    assert hashes[0] == hashes[1]
