"""The decode stage: every listed object ends with one END row, whatever its bytes are."""

import io
import time
import zipfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pydicom import dcmread

from s2sw.connectors.decode import decode
from s2sw.connectors.guard import reason_for
from s2sw.connectors.reading.archives import expand_archives
from s2sw.connectors.storage.objects import list_objects
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.imaging.tiles import boxes_of, shrunk
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.profile.grouping import grouping
from s2sw.pipeline.stages.decoding import BLOCK_BYTES, DecodeStage
from s2sw.pipeline.stages.wire import DECODED, END
from s2sw.schemas.config import GroupSettings, TileSettings
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import MANIFEST, Row
from tests.support.archives import dicom_file, encoded, mixed_archive, nifti_volume, texture

SIDE = 56
STORAGE = StorageSettings(tries=1)


def stage(tmp_path: Path, objects: list[StoredObject], side: int = SIDE, **options: object) -> DecodeStage:
    rows = [{"object_id": str(n), **asdict(o)} for n, o in enumerate(objects)]
    batches = pa.Table.from_pylist(rows, MANIFEST).to_batches()
    todo = Todo.write(tmp_path / "todo", batches, group_size=3)
    values = {"tiles": TileSettings(), "decode": DecodeSettings(), "storage": STORAGE} | options
    return DecodeStage(todo, side, **values)


def run(decoding: DecodeStage) -> list[Row]:
    tables = list(decoding(pa.table({"id": list(range(decoding.todo.groups))})))
    assert all(table.schema.equals(DECODED) for table in tables)
    return pa.concat_tables(tables).to_pylist() if tables else []


def ends(rows: list[Row]) -> dict[int, Row]:
    found = [row for row in rows if row["slice_index"] == END]
    assert len({row["object"] for row in found}) == len(found)
    return {row["object"]: row for row in found}


def listed(folder: Path) -> list[StoredObject]:
    return list(expand_archives(list_objects(str(folder), STORAGE), STORAGE, DecodeSettings()))


def test_every_object_ends_as_it_should(tmp_path: Path) -> None:
    expected = mixed_archive(tmp_path / "archive")
    objects = listed(tmp_path / "archive")
    rows = run(stage(tmp_path, objects))
    slices = Counter(row["object"] for row in rows if row["slice_index"] != END)
    for number, end in ends(rows).items():
        name = str(Path(objects[number].uri).relative_to(tmp_path / "archive"))
        assert (end["reason"], end["n_slices"], slices[number]) == (
            expected[name].reason,
            expected[name].slices,
            expected[name].slices,
        ), name
    assert len(ends(rows)) == len(expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_those_of_the_decoded_slice(tmp_path: Path, channels: int) -> None:
    """Grey travels as one channel."""
    pixels = texture(90, 140, 1, channels)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/a.png").write_bytes(encoded(pixels, "PNG"))
    tiles = TileSettings(size=64, overlap=8)
    row = run(stage(tmp_path, listed(tmp_path / "archive"), tiles=tiles))[0]
    boxes = boxes_of(row["tiles"])
    assert (row["rows"], row["cols"], len(boxes)) == (90, 140, 6)
    expected = np.stack(list(shrunk(pixels, SIDE, boxes)))
    np.testing.assert_array_equal(np.frombuffer(row["pixels"], np.uint8), expected.ravel())


def test_a_volume_travels_in_blocks_and_its_rows_in_order(tmp_path: Path) -> None:
    side = 400
    slices = 2 * BLOCK_BYTES // side**2 + 10
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/v.nii").write_bytes(nifti_volume((8, 8, slices), 1))
    decoding = stage(tmp_path, listed(tmp_path / "archive"), side)
    tables = list(decoding(pa.table({"id": [0]})))
    assert len(tables) == 3
    assert all(table.nbytes < 1.2 * BLOCK_BYTES for table in tables)
    assert pa.concat_tables(tables)["slice_index"].to_pylist() == [*range(slices), END]


def test_after_the_deadline_nothing_is_read(tmp_path: Path) -> None:
    missing = [StoredObject(f"/nowhere/{n}", 10, "etag", 0.0) for n in range(5)]
    late = ends(run(stage(tmp_path, missing, deadline=time.time() - 1)))
    assert {end["reason"] for end in late.values()} == {Reason.TIME_WINDOW}
    assert len(late) == 5


def test_objects_that_vanished_or_changed_have_their_reason(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    for name in ("changed", "kept", "vanished"):
        (folder / f"{name}.png").write_bytes(encoded(texture(20, 20, 1), "PNG"))
    objects = listed(folder)
    (folder / "changed.png").write_bytes(encoded(texture(21, 20, 2), "PNG"))
    (folder / "vanished.png").unlink()
    reasons = {number: end["reason"] for number, end in ends(run(stage(tmp_path, objects))).items()}
    assert reasons == {0: Reason.CHANGED, 1: None, 2: Reason.NOT_FOUND}


def test_limits_are_those_of_the_settings(tmp_path: Path) -> None:
    mixed_archive(tmp_path / "archive")
    small = DecodeSettings(limits=Limits(object_bytes=1))
    ended = ends(run(stage(tmp_path, listed(tmp_path / "archive"), decode=small)))
    assert Counter(end["reason"] for end in ended.values()) == {Reason.TOO_LARGE: 10, Reason.EMPTY: 1}


def test_members_of_an_archive_are_objects(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("one.png", encoded(texture(30, 40, 1), "PNG"))
        archive.writestr("deep/broken.png", b"\x89PNG\r\n\x1a\n")
        archive.writestr("deep/two.png", encoded(texture(50, 20, 2), "PNG"))
    (folder / "a.zip").write_bytes(packed.getvalue())
    objects = listed(folder)
    assert [o.member for o in objects] == ["one.png", "deep/broken.png", "deep/two.png"]
    rows = run(stage(tmp_path, objects))
    assert [end["status"] for end in ends(rows).values()] == ["screened", "quarantined", "screened"]
    sizes = {row["object"]: (row["rows"], row["cols"]) for row in rows if row["slice_index"] != END}
    assert sizes == {0: (30, 40), 2: (50, 20)}


def test_free_text_in_codes_does_not_pass(tmp_path: Path) -> None:
    dataset = dcmread(io.BytesIO(dicom_file()))
    dataset.Modality, dataset.BodyPartExamined = "JANE DOE", "CHEST"
    (tmp_path / "archive").mkdir()
    dataset.save_as(tmp_path / "archive/a.dcm")
    row = run(stage(tmp_path, listed(tmp_path / "archive")))[0]
    assert (row["modality"], row["body_part"]) == ("other", "CHEST")


def test_an_empty_group_list_makes_nothing(tmp_path: Path) -> None:
    assert run(stage(tmp_path, [])) == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ScreeningError(Reason.BOMB, "detail"), Reason.BOMB),
        (MemoryError(), Reason.OUT_OF_MEMORY),
        (ValueError("Jane Doe"), Reason.MALFORMED),
        (SystemExit(1), Reason.MALFORMED),
    ],
)
def test_reasons_of_errors(error: BaseException, reason: Reason) -> None:
    assert reason_for(error) is reason


def test_what_is_decoded_here_is_what_the_decoder_yields(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    data = nifti_volume((12, 10, 4), 3)
    (tmp_path / "archive/v.nii").write_bytes(data)
    rows = run(stage(tmp_path, listed(tmp_path / "archive")))
    for row, picture in zip(rows, decode(data, DecodeSettings())[1], strict=False):
        expected = np.stack(list(shrunk(picture.pixels, SIDE, [])))
        np.testing.assert_array_equal(np.frombuffer(row["pixels"], np.uint8), expected.ravel())
    assert len(rows) == 5


def test_an_object_ends_with_the_keyed_name_of_its_case(tmp_path: Path) -> None:
    """With and without a profile; nothing of it can be read."""
    for name in ("lot7_a.png", "lot7_b.png", "lot8_a.png", "plain.png"):
        (tmp_path / "archive").mkdir(exist_ok=True)
        (tmp_path / "archive" / name).write_bytes(encoded(texture(40, 40, 1), "PNG"))
    named = grouping(GroupSettings(case=r"(?P<case>lot\d)_"), str(tmp_path / "archive"), b"k" * 32)
    objects = sorted(listed(tmp_path / "archive"), key=lambda one: one.uri)
    for ranked in (False, True):
        rows = run(stage(tmp_path / str(ranked), objects, grouping=named, ranked=ranked))
        cases = [end["case"] for _, end in sorted(ends(rows).items())]
        assert cases[0] == cases[1] != cases[2]
        assert (len(cases[0]), cases[3]) == (26, "")
        slices = [row for row in rows if row["slice_index"] != END]
        assert all(bool(row["groups"]) is ranked for row in slices)
