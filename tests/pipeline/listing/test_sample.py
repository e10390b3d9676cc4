"""The sample of a listing: of each folder some, always the same, whatever the order of the listing."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from s2sw.pipeline.listing import sample as sampling
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.schemas.tables import MANIFEST

FACTS = {"size": 1, "etag": "e", "modified": 0.0, "place": 0}


def manifest(path: Path, names: list[str], member: str = "") -> Path:
    ids = object_ids(bytes(32))
    rows = [{"object_id": ids(name, "e"), "uri": name, "member": member, **FACTS} for name in names]
    pq.write_table(pa.Table.from_pylist(rows, MANIFEST), path)
    return path


def test_each_folder_gives_its_lowest_ids(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(sampling, "OF_A_FOLDER", 5)
    names = [f"/a/{kind}/{number}.png" for kind, count in (("x", 30), ("y", 3)) for number in range(count)]
    found = sampling.sample(manifest(tmp_path / "m.parquet", names))
    assert found.schema == MANIFEST
    folders = [name.rpartition("/")[0] for name in found.column("uri").to_pylist()]
    assert (folders.count("/a/x"), folders.count("/a/y")) == (5, 3)
    ids = object_ids(bytes(32))
    lowest = sorted(ids(name, "e") for name in names if "/x/" in name)[:5]
    assert set(lowest) <= set(found.column("object_id").to_pylist())
    random.Random(1).shuffle(names)
    assert sampling.sample(manifest(tmp_path / "n.parquet", names)).equals(found)


def test_of_many_folders_some_give_none(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(sampling, "MOST", 10)
    names = [f"/a/{number}/{file}.png" for number in range(20) for file in range(2)]
    found = sampling.sample(manifest(tmp_path / "m.parquet", names))
    folders = {name.rpartition("/")[0] for name in found.column("uri").to_pylist()}
    assert (len(found), len(folders)) == (10, 10)


def test_members_of_an_archive_have_its_folders(tmp_path: Path) -> None:
    found = sampling.sample(manifest(tmp_path / "m.parquet", ["/a/x.zip"], member="in/0.png"))
    assert found.column("member").to_pylist() == ["in/0.png"]
