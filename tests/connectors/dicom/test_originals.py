"""What a DICOM slice was made from: values of the modality, and its plane."""

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest

from s2sw.connectors.decode import decode
from s2sw.connectors.dicom.plane import first_plane
from s2sw.connectors.geometry import Geometry
from s2sw.connectors.slices import Original
from s2sw.schemas.decoding import DecodeSettings
from tests.support.archives import dicom_file


def changed(name: str = "CT_small.dcm", **values: Any) -> bytes:
    dataset = pydicom.dcmread(BytesIO(dicom_file(name)))
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    sink = BytesIO()
    dataset.save_as(sink)
    return sink.getvalue()


def geometry_of(data: bytes) -> Geometry:
    (picture,) = decode(data, DecodeSettings())[1]
    return picture.geometry


def original_of(data: bytes, **settings: Any) -> Original:
    slices = list(decode(data, DecodeSettings(**settings), originals=True)[1])
    assert len({id(one.original) for one in slices}) == 1  # views of a frame share it
    assert slices[0].original is not None
    return slices[0].original


@pytest.mark.parametrize("ct_windows", [False, True])
def test_values_are_hounsfield_units_in_the_object_s_plane(ct_windows: bool) -> None:
    data = dicom_file()
    dataset = pydicom.dcmread(BytesIO(data))
    original = original_of(data, ct_windows=ct_windows)
    assert original.values is not None
    found = original.values * original.slope + original.intercept
    np.testing.assert_array_equal(found, dataset.pixel_array * 1.0 + float(dataset.RescaleIntercept))
    assert original.unit == "HU"
    plane = geometry_of(data)
    assert plane == first_plane(data, DecodeSettings().limits)
    assert plane.spacing == tuple(map(float, dataset.PixelSpacing))
    assert plane.position == tuple(map(float, dataset.ImagePositionPatient))
    assert plane.marks == ("R", "L", "A", "P")
    assert plane.instance == dataset.InstanceNumber


def test_nothing_is_kept_unless_asked_for() -> None:
    assert all(one.original is None for one in decode(dicom_file(), DecodeSettings())[1])


def test_colours_have_no_values() -> None:
    assert original_of(dicom_file("SC_rgb_small_odd.dcm")).values is None


def test_a_projection_has_marks_and_sizes_at_the_detector() -> None:
    data = changed(
        PixelSpacing=None, ImagerPixelSpacing=[0.2, 0.1], ImageOrientationPatient=None,
        PatientOrientation=["L", "FP"], RescaleType="doe^jane", PhotometricInterpretation="MONOCHROME1",
    )  # fmt: skip
    original = original_of(data)
    plane = geometry_of(data)
    assert (plane.spacing, plane.in_patient, plane.aspect) == ((0.2, 0.1), False, 2)
    assert plane.marks == ("R", "L", "HA", "FP")
    assert original.unit == ""  # no word of the object's own
    assert original.inverted


def test_what_cannot_be_meant_is_not_known() -> None:
    data = changed(
        PixelSpacing=[0, -1], ImageOrientationPatient=[1, 0, 0, 1, 0, 0],
        PatientOrientation=["<script>", "L"],
    )  # fmt: skip
    plane = geometry_of(data)
    assert (plane.spacing, plane.aspect, plane.marks, plane.height) == (None, 1, None, None)


def test_frames_have_planes_of_their_own() -> None:
    slices = list(decode(dicom_file("eCT_Supplemental.dcm"), DecodeSettings())[1])
    heights = [one.geometry.height for one in slices]
    assert len(set(heights)) == len(slices) > 1
