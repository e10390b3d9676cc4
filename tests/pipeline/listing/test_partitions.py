"""To-do lists of partitions: every object in one, by its id alone, and all of them as one list again."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from s2sw.pipeline.listing.partitions import (
    MOST_BY_ITSELF,
    OF_A_WRITER,
    JointTodo,
    partitions_for,
    partitions_of,
    write_partitions,
)
from s2sw.pipeline.listing.todo import Todo, TodoReader
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.schemas.tables import MANIFEST
from tests.support.rows import stored

IDS = [object_ids(b"k" * 32)(stored(n).uri, "") for n in range(4000)]


def rows(numbers: list[int]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"object_id": IDS[n], **vars_of(n)} for n in numbers], MANIFEST)


def vars_of(number: int) -> dict[str, object]:
    one = stored(number, float(number))
    return {name: getattr(one, name) for name in MANIFEST.names if name != "object_id"}


def test_the_partition_follows_from_the_id_and_their_number_alone() -> None:
    places = partitions_of(IDS, 8)
    assert partitions_of(reversed(IDS), 8).tolist() == places[::-1].tolist()
    assert partitions_of(["123456789"], 10**12).tolist() == [0xCBF43926], "the check value of CRC-32"
    counts = np.bincount(places, minlength=8)
    assert counts.min() > 0.9 * len(IDS) / 8


@pytest.mark.parametrize("batch", [7, 1000])
def test_each_list_holds_its_objects_in_their_order(tmp_path: Path, batch: int) -> None:
    numbers = list(range(1000))
    batches = (rows(numbers[start : start + batch]) for start in range(0, 1000, batch))
    todo = write_partitions(tmp_path / "todo", batches, 16, 3)
    assert isinstance(todo, JointTodo)
    places = partitions_of(IDS[:1000], 3)
    for place, one in enumerate(todo.lists):
        found = [TodoReader(one).row(n)[0] for n in range(one.objects)]
        assert found == [IDS[n] for n in numbers if places[n] == place]
        assert one.groups == -(-one.objects // 16)
    assert todo.folder.stat().st_mode & 0o077 == 0


def test_lists_are_one_list_whose_groups_come_in_turn(tmp_path: Path) -> None:
    todo = write_partitions(tmp_path / "todo", [rows(list(range(500)))], 10, 4)
    assert isinstance(todo, JointTodo)
    empty = Todo.write(tmp_path / "empty", [], 10)
    short = Todo.write(tmp_path / "short", [rows([600, 601, 602])], 1)
    joint = JointTodo([todo.lists[0], empty, short, todo.lists[3]])
    seen: dict[int, str] = {}
    done = np.zeros(4)
    for group in range(joint.groups):
        objects, ids = joint.objects_of(group), joint.ids_of(group)
        (place,) = set(joint.lists_of(np.array([number for number, _ in objects])).tolist())
        for (number, one), object_id in zip(objects, ids, strict=True):
            own = TodoReader(joint.lists[place]).row(number - int(joint.starts[place]))
            assert own == (object_id, one)
            assert number not in seen
            seen[number] = object_id
        done[place] += 1 / joint.lists[place].groups
        if 0 < group < joint.groups - 1:
            assert np.ptp(done[[0, 3]]) < 0.2, "both advance together"
    assert sorted(seen) == list(range(joint.objects))
    assert joint.objects == todo.lists[0].objects + 3 + todo.lists[3].objects
    assert [one.objects for one in joint.mapped(lambda one: one).lists] == [o.objects for o in joint.lists]


def test_one_partition_is_the_list_that_it_always_was(tmp_path: Path) -> None:
    batches = [rows(list(range(50))), rows(list(range(50, 90)))]
    one = write_partitions(tmp_path / "one", batches, 8, 1)
    plain = Todo.write(tmp_path / "plain", batches, 8)
    assert type(one) is Todo
    assert [p.name for p in one.paths] == [p.name for p in plain.paths] == ["000000.parquet"]
    assert one.paths[0].read_bytes() == plain.paths[0].read_bytes()


@pytest.mark.parametrize(
    ("objects", "cores", "count"),
    [
        (0, 64, 1),
        (OF_A_WRITER, 64, 1),
        (OF_A_WRITER + 1, 64, 2),
        (OF_A_WRITER + 1, 1, 1),
        (10**9, 64, MOST_BY_ITSELF),
        (10**9, 4, 4),
    ],
)
def test_how_many_there_are_by_default(objects: int, cores: int, count: int) -> None:
    assert partitions_for(objects, cores) == count
