"""From a row of results back to its pixels: by the crosswalk, or by the address of open results."""

import warnings
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.reading.archives import expand_archives
from s2sw.connectors.storage.objects import list_objects
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.results.sources import NoSourceError, ObjectRef, Sources
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings
from tests.support.archives import dicom_file, encoded, texture
from tests.support.finished_runs import FIRST, config, summarise, write_run

STORAGE = StorageSettings()
KEY = b"k" * 32


def picture(seed: int) -> bytes:
    return encoded(texture(8, 9, seed), "PNG")


def archive(folder: Path) -> list[StoredObject]:
    """Fill a folder with names that are hard to take apart; return what a run lists."""
    folder.mkdir()
    data = BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(data, "w") as members:
        warnings.simplefilter("ignore")  # a name that comes twice
        for seed in (1, 2):
            members.writestr("a!b.png", picture(seed))
    for name, content in {
        "plain.png": picture(3), "odd!name.png": picture(4), "box.zip": data.getvalue(),
        "box!2.zip": data.getvalue(), "shut.zip!x.png": picture(5), "ct.dcm": dicom_file(),
    }.items():  # fmt: skip
        (folder / name).write_bytes(content)
    return list(expand_archives(list_objects(str(folder), STORAGE), STORAGE, DecodeSettings()))


def pixels(sources: Sources, wanted: ObjectRef) -> NDArray[np.uint8]:
    return next(iter(sources.slices(wanted))).pixels


@pytest.fixture
def listed(tmp_path: Path) -> list[StoredObject]:
    return archive(tmp_path / "archive")


@pytest.fixture
def output(tmp_path: Path) -> LocalOutput:
    return LocalOutput(tmp_path / "results")


def test_the_address_of_open_results_leads_to_the_very_same_object(
    listed: list[StoredObject], output: LocalOutput, tmp_path: Path
) -> None:
    ids = object_ids(None)
    sources = Sources(output, Inside(tmp_path / "none"), STORAGE, private=False)
    assert len(listed) == 8
    for stored in listed:
        wanted = ObjectRef(ids(stored.address, stored.version), FIRST, stored.address)
        assert sources.locate(wanted) == stored
    twice = [stored for stored in listed if stored.uri.endswith("box.zip")]
    found = [
        pixels(sources, ObjectRef(ids(stored.address, stored.version), FIRST, stored.address))
        for stored in twice
    ]
    np.testing.assert_array_equal(found[0], texture(8, 9, 1))
    np.testing.assert_array_equal(found[1], texture(8, 9, 2))


def test_an_object_that_changed_or_went_is_told_from_the_same(
    listed: list[StoredObject], output: LocalOutput, tmp_path: Path
) -> None:
    ids = object_ids(None)
    for stored in listed:
        Path(stored.uri).unlink(missing_ok=True)
    Path(listed[0].uri).write_bytes(b"another")
    for stored in listed:
        wanted = ObjectRef(ids(stored.address, stored.version), FIRST, stored.address)
        with pytest.raises(ScreeningError) as refused:
            Sources(output, Inside(tmp_path / "none"), STORAGE, private=False).locate(wanted)
        changed = stored.uri == listed[0].uri
        assert refused.value.reason is (Reason.CHANGED if changed else Reason.NOT_FOUND)


def test_private_results_need_the_crosswalk_and_nothing_else(
    listed: list[StoredObject], output: LocalOutput, tmp_path: Path
) -> None:
    ids, private = object_ids(KEY), tmp_path / "private"
    wanted = [ObjectRef(ids(stored.address, stored.version), FIRST) for stored in listed]
    with pytest.raises(NoSourceError, match="--private-dir"):
        Sources(output, Inside(private), STORAGE).locate(wanted[0])
    folder = private / "0123/crosswalk"
    folder.mkdir(parents=True)
    freeze(iter(listed), ids, tmp_path / "manifest.parquet")
    Todo.write(folder / FIRST, pq.read_table(tmp_path / "manifest.parquet").to_batches(), 2)
    sources = Sources(output, Inside(private), STORAGE)
    assert list(sources.find(wanted).values()) == listed
    assert sources.find(
        [ObjectRef("nobody", FIRST), ObjectRef(wanted[0].object_id, "20200101T000000-000000")]
    ) == {wanted[0].object_id: listed[0]}


def test_slices_are_decoded_as_the_run_did(
    listed: list[StoredObject], output: LocalOutput, tmp_path: Path
) -> None:
    (ct,) = (stored for stored in listed if stored.uri.endswith("ct.dcm"))
    wanted = ObjectRef(object_ids(None)(ct.address, ct.version), FIRST, ct.address)
    write_run(output, summarise([]), config(decode={"ct_windows": True}))
    planes = [
        one.plane for one in Sources(output, Inside(tmp_path / "none"), STORAGE, private=False).slices(wanted)
    ]
    assert len(planes) == 4
    # a run that was killed left no file: the defaults
    output.delete(f"runs/{FIRST}.json")
    assert len(list(Sources(output, Inside(tmp_path / "none"), STORAGE, private=False).slices(wanted))) == 1
