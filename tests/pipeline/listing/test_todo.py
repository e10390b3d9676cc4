"""The frozen listing and the to-do list made from it: every row once, in its place."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.listing.manifest import LISTING_BATCH, freeze
from s2sw.pipeline.listing.todo import GROUPS_PER_FILE, Todo, TodoReader, group_size
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.tables import MANIFEST
from tests.support.rows import stored


def identity(uri: str, etag: str) -> str:
    return f"id-of-{uri}-{etag}"


def batches(count: int, size: int) -> Iterator[pa.RecordBatch]:
    rows = [{"object_id": f"id-{n}", **asdict(stored(n, float(n)))} for n in range(count)]
    for start in range(0, count, size):
        yield pa.RecordBatch.from_pylist(rows[start : start + size], MANIFEST)


def test_the_listing_is_frozen_in_its_order(tmp_path: Path) -> None:
    count = LISTING_BATCH + 7
    said: list[int] = []
    assert freeze(map(stored, range(count)), identity, tmp_path / "m.parquet", said.append) == count
    table = pq.read_table(tmp_path / "m.parquet")
    assert table.schema.equals(MANIFEST)
    assert table["uri"].to_pylist() == [stored(n).uri for n in range(count)]
    last = stored(count - 1)
    assert table["object_id"][-1].as_py() == identity(last.uri, last.etag)
    assert said == [LISTING_BATCH, count]


def test_members_of_one_name_are_two_objects(tmp_path: Path) -> None:
    members = [replace(stored(0), member="a.png", place=place) for place in (0, 5)]
    freeze([*members, stored(0)], identity, tmp_path / "m.parquet")
    assert len(set(pq.read_table(tmp_path / "m.parquet")["object_id"].to_pylist())) == 3


def test_an_empty_listing_is_an_empty_file(tmp_path: Path) -> None:
    assert freeze([], identity, tmp_path / "m.parquet") == 0
    assert pq.read_table(tmp_path / "m.parquet").num_rows == 0


def test_a_source_that_cannot_be_listed_leaves_no_file(tmp_path: Path) -> None:
    def refuse() -> Iterator[StoredObject]:
        raise ScreeningError(Reason.DENIED)
        yield

    with pytest.raises(ScreeningError):
        freeze(refuse(), identity, tmp_path / "m.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("count", "group", "batch"), [(0, 1, 1), (1, 4, 10), (10, 3, 4), (12, 4, 5)])
def test_groups_hold_every_object_once(tmp_path: Path, count: int, group: int, batch: int) -> None:
    todo = Todo.write(tmp_path / "todo", batches(count, batch), group)
    assert (todo.objects, todo.groups) == (count, -(-count // group))
    found = [pair for number in range(todo.groups) for pair in todo.objects_of(number)]
    assert found == [(n, stored(n, float(n))) for n in range(count)]


@pytest.mark.parametrize(
    ("objects", "each", "cores", "group"),
    [
        (0, 0, 2, 1),
        (10, 1 << 10, 2, 1),
        (377, 1 << 19, 2, 11),  # sixteen tasks a core
        (100_000, 1 << 19, 2, 256),
        (100_000, 1 << 19, 64, 97),
        (100_000, 5 << 20, 2, 25),  # 128 MiB
        (100_000, 1 << 30, 2, 5),  # volumes: no more than 20,000 tasks
        (39_999, 1 << 30, 2, 2),
        (10_000_000, 1 << 10, 2, 500),
    ],
)
def test_size_of_groups(objects: int, each: int, cores: int, group: int) -> None:
    assert group_size(objects, objects * each, cores) == group


def test_groups_go_on_over_several_files(tmp_path: Path) -> None:
    count = 2 * GROUPS_PER_FILE * 2 + 5
    todo = Todo.write(tmp_path / "todo", batches(count, 333), 2)
    assert len(list((tmp_path / "todo").iterdir())) == 3
    reader = TodoReader(todo)
    for number in (0, 2 * GROUPS_PER_FILE - 1, 2 * GROUPS_PER_FILE, count - 1):
        assert reader.row(number) == (f"id-{number}", stored(number, float(number)))
        assert (number, stored(number, float(number))) in todo.objects_of(number // 2)


def test_some_rows_become_a_list_of_their_own(tmp_path: Path) -> None:
    reader = TodoReader(Todo.write(tmp_path / "all", batches(9, 9), 4))
    narrow = Todo.write(tmp_path / "some", [reader.batch([2, 7])], 1)
    assert [narrow.objects_of(group) for group in range(narrow.groups)] == [
        [(0, stored(2, 2.0))],
        [(1, stored(7, 7.0))],
    ]


def test_the_list_names_objects_and_is_its_owners_only(tmp_path: Path) -> None:
    todo = Todo.write(tmp_path / "todo", batches(1, 1), 1)
    assert todo.folder.stat().st_mode & 0o077 == 0
