"""Names that file systems and archives allow and tables do not: every object has its row all the same."""

import os
import tarfile
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from s2sw.connectors.reading.archives import expand_archives
from s2sw.connectors.storage.objects import list_objects, read_object, stat_object
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.storage import StorageSettings

STORAGE = StorageSettings()


def test_a_name_that_is_no_utf8_is_listed_frozen_and_read(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "archive")
    names = [b"M\xfcller.png", b"M\xfdller.png", "Müller 100%.png".encode()]
    (tmp_path / "archive").mkdir()
    for number, name in enumerate(names):
        with open(folder + b"/" + name, "wb") as file:  # noqa: PTH123 (bytes are no Path)
            file.write(b"x" * (number + 1))
    listed = list(list_objects(str(tmp_path / "archive"), STORAGE))
    assert sorted(len(read_object(stored, STORAGE, 100)) for stored in listed) == [1, 2, 3]
    assert all(stat_object(stored.uri, STORAGE) == stored for stored in listed)
    manifest = tmp_path / "manifest.parquet"
    assert freeze(listed, object_ids(None), manifest) == 3
    table = pq.read_table(manifest)
    assert len(set(table["object_id"].to_pylist())) == 3
    assert f"file://{tmp_path}/archive/M%FCller.png" in table["uri"].to_pylist()
    assert f"{tmp_path}/archive/Müller 100%.png" in table["uri"].to_pylist()


def test_members_of_one_name_are_objects_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    folder.mkdir()
    with tarfile.open(folder / "updated.tar", "w") as archive:
        for size in (5, 7):  # as ``tar --append`` does for a newer version
            info = tarfile.TarInfo("image.png")
            info.size = size
            archive.addfile(info, BytesIO(bytes(size)))
    listed = list(expand_archives(list_objects(str(folder), STORAGE), STORAGE, DecodeSettings()))
    assert [(stored.member, stored.size) for stored in listed] == [("image.png", 5), ("image.png", 7)]
    freeze(listed, object_ids(None), tmp_path / "manifest.parquet")
    assert len(set(pq.read_table(tmp_path / "manifest.parquet")["object_id"].to_pylist())) == 2


def test_a_folder_that_goes_while_it_is_listed_takes_nothing_else_with_it(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "image.png").write_bytes(b"x")
    listing = list_objects(str(tmp_path), STORAGE)
    found = [Path(next(listing).uri)]
    (tmp_path / "b" / "image.png").unlink()
    (tmp_path / "b").rmdir()
    found += [Path(stored.uri) for stored in listing]
    assert [path.parent.name for path in found] == ["a", "c"]


@pytest.mark.parametrize("address", ["/a/b.png", "s3://lake/a.zip!b.png"])
def test_ids_of_plain_objects_do_not_depend_on_places(address: str) -> None:
    ids = object_ids(b"k" * 32)
    assert ids(address, "etag") == ids(address, "etag") != ids(address, "etag#1")
