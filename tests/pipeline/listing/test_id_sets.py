"""What is to do and what is left, by the ids in the files themselves."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from s2sw.connectors.manifests.files import ManifestError
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.listing.id_sets import IdSets
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.schemas.tables import DEFERRED
from tests.support.rows import stored

DONE = pa.schema([(name, pa.string()) for name in ("object_id", "status", "reason", "run_id")])
Make = Callable[..., IdSets]


def reader(rows: list[tuple[str, ...]], schema: pa.Schema) -> pa.RecordBatchReader:
    return pa.Table.from_pylist([dict(zip(schema.names, r, strict=True)) for r in rows], schema).to_reader()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return a function: numbers listed, done rows and deferred rows -> the sets. Later numbers are newer."""
    opened: list[IdSets] = []

    def sets(listed: int, done: list[tuple[str, ...]] = (), deferred: list[tuple[str, ...]] = ()) -> IdSets:
        path = tmp_path / "manifest.parquet"
        freeze((stored(n, float(n)) for n in range(listed)), lambda _, etag: etag[5:], path)
        opened.append(IdSets(path, tmp_path))
        opened[-1].load("done", reader(list(done), DONE))
        opened[-1].load("deferred", reader(list(deferred), DEFERRED))
        return opened[-1]

    yield sets
    for one in opened:
        one.close()


def done(*numbers: int, status: str = "screened", run: str = "run-1") -> list[tuple[str, ...]]:
    return [(str(n), status, "", run) for n in numbers]


def order(sets: IdSets) -> list[int]:
    return [int(value) for batch in sets.open_objects() for value in batch.column("object_id").to_pylist()]


def test_newest_first(make: Make) -> None:
    assert order(make(5)) == [4, 3, 2, 1, 0]


def test_what_is_done_is_not_to_do(make: Make) -> None:
    sets = make(6, done(1, 4, 99))
    assert order(sets) == [5, 3, 2, 0]
    assert sets.measure_open() == (4, sum(stored(n, 0.0).size for n in (5, 3, 2, 0)))


def test_one_deferred_to_every_four_new_longest_waiting_first(make: Make) -> None:
    deferred = [(str(n), f"2026-01-0{1 + n % 3}") for n in range(6)]  # 0..5, the oldest of the manifest
    places = order(make(18, deferred=deferred))
    waited = [n for n in places if n < 6]
    assert waited == [3, 0, 4, 1, 5, 2]
    assert [n for n in places if n >= 6] == list(range(17, 5, -1))
    for share in range(1, 4):
        assert sum(n < 6 for n in places[: 5 * share]) == share


def test_neither_kind_waits_when_the_other_is_out(make: Make) -> None:
    everything_waited = [(str(n), "2026-01-01") for n in range(7)]
    assert order(make(7, deferred=everything_waited)) == [6, 5, 4, 3, 2, 1, 0]


def test_the_order_is_the_same_whether_something_was_deferred_or_not(make: Make) -> None:
    """Two queries: the one without deferred objects sorts once only."""
    gone = make(18, done(3, 7), deferred=[("no longer listed", "2026-01-01")])
    without = make(18, done(3, 7))
    assert order(gone) == order(without) == [n for n in range(17, -1, -1) if n not in (3, 7)]


def test_deferred_objects_that_are_done_or_gone_are_no_more_to_do(make: Make) -> None:
    sets = make(3, done(1), deferred=[("1", "r"), ("77", "r")])
    assert order(sets) == [2, 0]
    assert sorted(sets.left("now").read_all()["object_id"].to_pylist()) == ["0", "2"]


def test_left_remembers_who_deferred_first(make: Make) -> None:
    left = make(3, done(0), deferred=[("1", "earlier")]).left("now").read_all().to_pylist()
    assert sorted((row["object_id"], row["since"]) for row in left) == [("1", "earlier"), ("2", "now")]


def test_statuses_count_only_what_is_listed(make: Make) -> None:
    sets = make(4, done(0, 1, 9) + done(2, status="quarantined"))
    assert sets.statuses() == {"screened": 2, "quarantined": 1}


@pytest.mark.parametrize(("numbers", "extra"), [((0, 1), 0), ((0, 1, 1, 1, 0), 3)])
def test_duplicates_are_rows_beyond_the_first(make: Make, numbers: tuple[int, ...], extra: int) -> None:
    assert make(4, done(*numbers)).duplicates() == extra


def test_a_forced_run_makes_no_duplicates_and_its_status_counts(make: Make) -> None:
    sets = make(4, done(0, 1) + done(1, status="quarantined", run="run-2"))
    assert sets.duplicates() == 0
    assert sets.statuses() == {"screened": 1, "quarantined": 1}


def test_a_table_can_be_loaded_again(make: Make) -> None:
    sets = make(4, done(0))
    sets.load("done", reader(done(1, 2), DONE))
    assert order(sets) == [3, 0]


def test_the_stream_is_what_a_to_do_list_is_made_of(make: Make, tmp_path: Path) -> None:
    sets = make(25, done(3))
    todo = Todo.write(tmp_path / "todo", sets.open_objects(), 4)
    found = [o for group in range(todo.groups) for _, o in todo.objects_of(group)]
    assert found == [stored(n, float(n)) for n in range(24, -1, -1) if n != 3]


def test_addresses_that_stand_twice_in_a_manifest_are_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    once = [StoredObject(f"s3://lake/{number}", 1, "a", 0.0) for number in range(1000)]
    members = [StoredObject("s3://lake/a.zip", 1, "a", 0.0, f"{place}.png", place) for place in range(3)]
    for objects, repeated in (([*once, *members], 0), ([*once, *members, *once[:2], once[0]], 2)):
        freeze(objects, object_ids(None), tmp_path / "manifest.parquet")
        sets = IdSets(tmp_path / "manifest.parquet", tmp_path / "work")
        sets.refuse_repeated(None)
        if not repeated:
            sets.refuse_repeated("list.csv")
        else:
            with pytest.raises(ManifestError, match=r"list\.csv: addresses that occur more than once: 2"):
                sets.refuse_repeated("list.csv")
        sets.close()
