"""What a run with several writers does where one of them fails, or goes on failing."""

import json
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from s2sw.pipeline.ledger.lease import Lease, LeaseLostError
from s2sw.pipeline.listing.partitions import JointTodo, write_partitions
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.run.executor import LostGroup, RunFailedError
from s2sw.pipeline.run.partition_state import PartitionTask, WriterLog
from s2sw.pipeline.run.partitions import LOSSES, Partitions
from s2sw.pipeline.run.progress import Tally
from s2sw.pipeline.run.run_log import OWN, RunLog
from s2sw.pipeline.run.writing import planned_partitions
from s2sw.pipeline.stages.wire import DETECTED, table_of
from s2sw.schemas.config import ClusterSettings, PartSettings
from s2sw.schemas.outcomes import Reason
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import MANIFEST
from tests.robustness import accounts
from tests.support.mortal import MortalOutput, MortalWriters
from tests.support.rows import end_row, slice_row, stored

RUN_ID = "20260701T230000-aaaaaa"
OBJECTS, GIVE_UP = 40, 3
Make = Callable[..., Partitions]


def played(todo: Todo, number: int, lost: LostGroup) -> Iterator[pa.Table]:
    """Give every object one slice; groups with ``crash`` in an address are lost, ``fail`` is not scored."""
    for group in range(todo.groups):
        objects = todo.objects_of(group)
        if any("crash" in stored.uri for _, stored in objects):
            lost("ImportError at pipeline/stages/decoding.py:1")
            continue
        rows = []
        for place, one in objects:
            failed = Reason.DETECTOR_FAILED if "fail" in one.uri else None
            rows += [slice_row(place, 0, reason=failed), end_row(place, 1)]
        yield table_of(rows, DETECTED)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return a function that makes the partitions of a run over some names."""
    output = MortalOutput(tmp_path / "out", None, after=False)
    lease = Lease(output, RUN_ID)

    def make(
        names: list[str],
        count: int = 2,
        deaths: tuple[int | None, ...] = (),
        run_lease: str = "",
        size: int = 4,
    ) -> Partitions:
        listed = [
            {"object_id": f"id-{n}", **asdict(stored(n))} | {"uri": name} for n, name in enumerate(names)
        ]
        todo = write_partitions(
            tmp_path / "todo", [pa.RecordBatch.from_pylist(listed, MANIFEST)], size, count
        )
        assert isinstance(todo, JointTodo)
        constants = {"bundle": "b", "fingerprint": "f", "run_id": RUN_ID, "threshold": 0.5}
        tasks = [
            PartitionTask(
                number, one, output, PartSettings(rows=6, seconds=3600), constants, True, tmp_path / "work",
                run_lease or lease.name, None, GIVE_UP, StorageSettings(), False,
            )
            for number, one in enumerate(todo.lists)
        ]  # fmt: skip
        writers = MortalWriters(output, deaths, after=False)
        return Partitions(tasks, writers.start, played, Tally(), GIVE_UP)

    with lease:
        yield make


def finish(partitions: Partitions) -> None:
    try:
        partitions.run()
    finally:
        partitions.close()


def committed(folder: Path) -> Counter[str]:
    return Counter(row["uri"] for row in accounts.rows(str(folder / "out"), "objects"))


def names(word: str, count: int = OBJECTS) -> list[str]:
    return [f"{word}-{number}" for number in range(count)]


def test_a_writer_that_dies_again_and_again_ends_the_run(make: Make, tmp_path: Path) -> None:
    partitions = make(names("fine"), deaths=(None, *[1] * (LOSSES + 1)))
    with pytest.raises(RunFailedError, match=r"partition 1 was lost 5 times before it had written anything"):
        finish(partitions)
    assert set(committed(tmp_path).values()) == {1}, "the other one commits what is whole"
    assert committed(tmp_path).total() == partitions.tally.objects


def test_a_writer_that_dies_after_parts_is_replaced_as_often_as_it_does(make: Make, tmp_path: Path) -> None:
    partitions = make(names("fine", 80), deaths=(3,) * 10)  # slices, objects, and slices without objects
    finish(partitions)
    assert committed(tmp_path) == dict.fromkeys(names("fine", 80), 1)
    assert partitions.tally.objects == partitions.tally.slices == 80
    facts = partitions.facts()
    assert sum(one["finished"] for one in facts) == sum(one["objects"] for one in facts) == 80
    assert sum(one["writers"] for one in facts) > 2 + LOSSES


def test_a_writer_under_a_run_that_lost_its_lease_writes_nothing(make: Make, tmp_path: Path) -> None:
    partitions = make(names("fine"), run_lease="runs/lease-000009")
    with pytest.raises(LeaseLostError, match="does not hold the output any more"):
        finish(partitions)
    assert committed(tmp_path) == {}


def test_what_writers_log_is_in_the_log_of_the_run(make: Make, tmp_path: Path) -> None:
    """As here of a damaged lease that a writer finds."""
    partitions = make(names("fine"))
    damaged = tmp_path / "out/runs/lease.p001-000003"
    damaged.write_text("{")
    with RunLog() as run_log:
        finish(partitions)
    lines = [json.loads(line) for line in run_log.document().splitlines()]
    said = [line["message"] for line in lines if line["message"].startswith("runs/lease.p001-000003")]
    told = [line for line in lines if line["message"].startswith("partition 1: ")]
    assert said, "in the process of this test the writer is, too"
    assert [line["message"] for line in told] == [f"partition 1: {text}" for text in said], "each once"
    assert {line["level"] for line in told} == {"warning"}


def test_writers_in_one_process_say_each_their_own() -> None:
    logger, first, second = logging.getLogger(f"{OWN}.test"), WriterLog(), WriterLog()
    own = logging.getLogger(OWN)
    for handler in (first, second):
        own.addHandler(handler)
    with second.listening():
        there = threading.Thread(target=copy_context().run, args=(logger.warning, "in its thread"))
    with first.listening():
        logger.warning("of the first")
        there.start()
        there.join()
    logger.warning("of nobody")
    for handler in (first, second):
        own.removeHandler(handler)
    assert [said.message for said in first.said] == ["of the first"]
    assert [said.message for said in second.said] == ["in its thread"]


def test_everything_crashes_and_the_run_stops_soon(make: Make, tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match="no object could be decoded: ImportError at pipeline"):
        finish(make(names("crash")))
    assert committed(tmp_path) == {}


def test_a_partition_in_which_everything_crashes_is_no_failed_run(make: Make, tmp_path: Path) -> None:
    """With one writer it would be none either: something lives."""
    listed = ["crash-0", "crash-1", "crash-2", "crash-3", "crash-4", *names("fine", 10)]
    finish(make(listed, count=8, size=1))
    ends = {row["uri"]: row["reason"] for row in accounts.rows(str(tmp_path / "out"), "objects")}
    assert ends == {n: Reason.WORKER_CRASHED if "crash" in n else None for n in listed}


def test_a_detector_that_always_fails_stops_the_run(make: Make) -> None:
    with pytest.raises(RunFailedError, match="the detector fails on every picture"):
        finish(make(names("fail")))


@pytest.mark.parametrize(
    ("asked", "on_ray", "address", "count", "said"),
    [
        (None, True, None, 1, ""),
        (6, True, None, 6, ""),
        (6, True, "10.0.0.1:6379", 6, ""),
        (6, True, "ray://10.0.0.1:10001", 1, "no node of its cluster"),
        (6, False, None, 1, "little work"),
        (1, False, None, 1, ""),
    ],
)
def test_where_several_writers_are_not_possible_one_line_says_so(
    caplog: pytest.LogCaptureFixture,
    asked: int | None,
    on_ray: bool,
    address: str | None,
    count: int,
    said: str,
) -> None:
    assert planned_partitions(asked, 1000, on_ray, ClusterSettings(address=address)) == count
    assert len(caplog.records) == bool(said)
    assert said in caplog.text
