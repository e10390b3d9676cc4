"""NIfTI against nibabel's own arrays: orientation, byte order, scaling, 4-D, compression, pairs."""

import gzip
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from s2sw.connectors.decode import decode
from s2sw.connectors.nifti.pairs import header_name, samples_name
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

FOLDER = Path(nibabel.__file__).parent / "tests" / "data"
FILES = ("anatomical.nii", "example4d.nii.gz", "example_nifti2.nii.gz", "functional.nii",
         "reoriented_anat_moved.nii", "resampled_anat_moved.nii", "standard.nii.gz")  # fmt: skip
AXES = ("sagittal", "coronal", "axial")


def slices(data: bytes, companion: bytes | None = None, **settings: Any) -> list[Slice]:
    return list(decode(data, DecodeSettings(**settings), companion=companion)[1])


def refusal(data: bytes, **settings: Any) -> Reason:
    with pytest.raises(ScreeningError) as caught:
        slices(data, **settings)
    return caught.value.reason


def canonical_planes(volume: np.ndarray[Any, Any], axis: int) -> list[np.ndarray[Any, Any]]:
    """Planes of an RAS volume as a radiologist's screen shows them, by hand."""
    if axis == 0:  # rows: head first; columns: front first
        return [volume[i, ::-1, ::-1].T for i in range(volume.shape[0])]
    if axis == 1:  # rows: head first; columns: the patient's right first
        return [volume[::-1, j, ::-1].T for j in range(volume.shape[1])]
    return [volume[::-1, ::-1, k].T for k in range(volume.shape[2])]


def to_grey(
    values: np.ndarray[Any, Any], header: Any, percentiles: tuple[float, float]
) -> np.ndarray[Any, Any]:
    low, high = float(header["cal_min"]), float(header["cal_max"])
    if not high > low:
        low, high = np.percentile(values[np.isfinite(values)], percentiles, method="inverted_cdf")
    return np.rint(np.clip(np.nan_to_num((values - low) / (high - low)), 0, 1) * 255)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("name", FILES)
def test_planes_are_those_of_nibabel(name: str, axis: int) -> None:
    image = nibabel.load(FOLDER / name)
    closest = nibabel.as_closest_canonical(image)
    values = np.asarray(closest.dataobj, dtype=np.float64)
    values = values[..., 0] if values.ndim == 4 else values
    wanted = canonical_planes(to_grey(values, image.header, (0.5, 99.5)), axis)
    found = slices((FOLDER / name).read_bytes(), nifti_axis=AXES[axis])
    # slices come as they are stored, which may be from head to foot
    orientation = nibabel.io_orientation(image.affine)  # type: ignore[attr-defined]
    stored_axis = [int(a) for a in orientation[:, 0]].index(axis)
    if orientation[stored_axis, 1] < 0:
        wanted = wanted[::-1]
    assert len(found) == len(wanted)
    assert {s.plane for s in found} == {AXES[axis]}
    for mine, other in zip(found, wanted, strict=True):
        assert mine.pixels.shape == other.shape
        assert np.abs(mine.pixels - other).max() <= 1  # one grey level: rounding of float32 scale factors


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("axis", AXES)
def test_streams_and_plain_files_give_the_same_slices(
    suffix: str, axis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s2sw.connectors.nifti.decoder.BATCH_BYTES", 300)
    samples = np.random.default_rng(1).integers(-500, 3000, (7, 8, 9, 3)).astype(np.int16)
    plain = nibabel.Nifti1Image(samples, np.diag([2, -2, 2, 1.0])).to_bytes()
    data = gzip.compress(plain) if suffix.endswith("gz") else plain
    found = slices(data, nifti_axis=axis, nifti_volumes="all")
    reference = slices(plain, nifti_axis=axis, nifti_volumes="all")
    assert len(found) == 3 * samples.shape[AXES.index(axis)]
    for mine, other in zip(found, reference, strict=True):
        assert np.array_equal(mine.pixels, other.pixels)
    assert len(slices(data, nifti_axis=axis)) == samples.shape[AXES.index(axis)]


@pytest.mark.parametrize(
    ("zooms", "plane"),
    [((1, 1, 5), "axial"), ((1, 4, 1), "coronal"), ((3, 1, 1), "sagittal"), ((1, 1, 1), "axial")],
)
def test_auto_slices_along_the_largest_spacing(zooms: tuple[float, ...], plane: str) -> None:
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([*zooms, 1.0]))
    assert slices(image.to_bytes())[0].plane == plane


def test_a_flat_axis_is_the_slicing_axis() -> None:
    image = nibabel.Nifti1Image(np.arange(20, dtype=np.int16).reshape(1, 4, 5), np.diag([1, 1, 9, 1.0]))
    (only,) = slices(image.to_bytes())
    assert only.plane == "sagittal"


@pytest.mark.parametrize("kind", ["<i2", ">i2", "<u2", ">u1", "<i4", ">f4", "<f8", "<i8", ">u4"])
def test_sample_types_and_byte_orders(kind: str) -> None:
    samples = np.arange(4 * 5 * 3).reshape(4, 5, 3)
    header = nibabel.Nifti1Header(endianness=kind[0])
    header.set_data_dtype(np.dtype(kind))
    image = nibabel.Nifti1Image(samples.astype(kind), np.eye(4), header)
    found = slices(image.to_bytes(), percentiles=(0, 100))
    wanted = canonical_planes(np.rint(samples / 59 * 255), 2)
    assert all(np.array_equal(mine.pixels, other) for mine, other in zip(found, wanted, strict=True))


def scaled(slope: float, intercept: float) -> bytes:
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(4, 5, 3), np.eye(4))
    data = bytearray(image.to_bytes())
    data[112:120] = np.array([slope, intercept], "<f4").tobytes()
    return bytes(data)


@pytest.mark.parametrize("slope", [0.0, float("nan"), float("inf")])
def test_a_slope_that_means_none(slope: float) -> None:
    plain = slices(scaled(1, 0))
    assert all(
        np.array_equal(a.pixels, b.pixels) for a, b in zip(slices(scaled(slope, 9)), plain, strict=True)
    )


def test_a_negative_slope_turns_greys_over() -> None:
    turned, plain = slices(scaled(-2, 5), percentiles=(0, 100)), slices(scaled(1, 0), percentiles=(0, 100))
    assert all(np.array_equal(a.pixels, 255 - b.pixels) for a, b in zip(turned, plain, strict=True))
    assert turned[0].applied == ("rescale", "percentile")


def test_colours_complex_and_not_finite_samples() -> None:
    colours = np.random.default_rng(3).integers(0, 256, (4, 5, 3, 3), dtype=np.uint8)
    packed = colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    found = slices(nibabel.Nifti1Image(packed, np.eye(4)).to_bytes())
    assert np.array_equal(found[1].pixels, colours[::-1, ::-1, 1].transpose(1, 0, 2))
    waves = np.full((4, 5, 3), 3 + 4j, np.complex64)
    waves[0] = 0
    assert "magnitude" in slices(nibabel.Nifti1Image(waves, np.eye(4)).to_bytes())[0].applied
    holes = np.ones((4, 5, 3), np.float32) * np.arange(3, dtype=np.float32)
    holes[0], holes[1] = np.nan, np.inf
    shown = slices(nibabel.Nifti1Image(holes, np.eye(4)).to_bytes())
    assert [s.pixels[0, 0] for s in shown] == [0, 128, 255]
    assert refusal(nibabel.Nifti1Image(holes * np.nan, np.eye(4)).to_bytes()) is Reason.NOT_FINITE


def test_a_singular_affine_falls_back_to_stored_axes() -> None:
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.header.set_sform(np.zeros((4, 4)), code=1)
    data = bytearray(image.to_bytes())
    data[280:328] = bytes(48)
    assert slices(bytes(data))[0].pixels.shape == (4, 3)


def test_labels_and_statistics_are_derived() -> None:
    image = nibabel.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    for intent in ("label", "t test", "estimate", "vector"):
        image.header.set_intent(intent)
        assert refusal(image.to_bytes()) is Reason.DERIVED_LABELS
    assert refusal((FOLDER / "row_major.dconn.nii").read_bytes()) is Reason.DERIVED_LABELS
    assert len(slices(image.to_bytes(), derived_objects=True)) == 5


def test_pairs_need_both_halves() -> None:
    samples = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    pair = nibabel.Nifti1Pair(samples, np.eye(4))
    parts = {name: nibabel.FileHolder(fileobj=__import__("io").BytesIO()) for name in ("header", "image")}
    pair.to_file_map(parts)
    header, image = (parts[name].fileobj.getvalue() for name in ("header", "image"))
    single = slices(nibabel.Nifti1Image(samples, np.eye(4)).to_bytes())
    for half, other in ((header, image), (gzip.compress(header), gzip.compress(image))):
        both = slices(half, companion=other)
        assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(both, single, strict=True))
    assert refusal(header) is Reason.UNSUPPORTED
    with pytest.raises(ScreeningError) as caught:
        slices(header, companion=image[:50])
    assert caught.value.reason is Reason.TRUNCATED
    damaged = bytearray(gzip.compress(image))
    damaged[12:40] = bytes(28)
    with pytest.raises(ScreeningError, match=Reason.MALFORMED):
        slices(gzip.compress(header), companion=bytes(damaged))


@pytest.mark.parametrize(("header", "samples"), [
    ("a/b.hdr", "a/b.img"), ("B.HDR", "B.IMG"), ("x.hdr.gz", "x.img.gz"),
])  # fmt: skip
def test_names_of_pairs(header: str, samples: str) -> None:
    assert samples_name(header) == samples
    assert header_name(samples) == header
    assert samples_name(samples) is header_name(header) is None


@pytest.mark.parametrize("cut", [100, 347, 352, 500])
def test_cut_volumes_are_truncated(cut: int) -> None:
    plain = nibabel.Nifti1Image(np.arange(600, dtype=np.int16).reshape(10, 12, 5), np.eye(4)).to_bytes()
    if cut >= 348:
        assert refusal(plain[:cut]) is Reason.TRUNCATED
        assert refusal(gzip.compress(plain[:cut])) is Reason.TRUNCATED
        assert refusal(gzip.compress(plain)[:-30]) is Reason.TRUNCATED
    else:
        assert refusal(plain[:cut]) is Reason.UNKNOWN_FORMAT


def test_a_gigabyte_streams_in_under_300_mb() -> None:
    program = """
        import zlib
        import nibabel, numpy as np
        from s2sw.connectors.decode import decode
        from s2sw.schemas.decoding import DecodeSettings
        from tests.support.memory import peak_mib

        shape = (512, 512, 2000)  # int16: 1.05 GB
        header = nibabel.Nifti1Header()
        header.set_data_dtype(np.int16)
        header.set_data_shape(shape)
        header["magic"], header["vox_offset"] = b"n+1", 352
        # 16 KiB of noise again and again, packed once and repeated in the file
        noise = np.random.default_rng(0).integers(0, 4000, 8192).astype(np.int16).tobytes() * 64
        packer = zlib.compressobj(1, zlib.DEFLATED, -15)
        start = packer.compress(header.binaryblock + bytes(4)) + packer.flush(zlib.Z_FULL_FLUSH)
        block = packer.compress(noise) + packer.flush(zlib.Z_FULL_FLUSH)
        data = b"\\x1f\\x8b\\x08\\x00\\x00\\x00\\x00\\x00\\x00\\x03" + start + block * 1001
        count = sum(1 for _ in decode(data, DecodeSettings())[1])
        print(count, peak_mib())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    count, peak = map(int, done.stdout.split())
    assert count == 2000
    assert peak < 300
