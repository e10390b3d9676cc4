"""Runs with several writers on one Ray: the same rows, each once, whatever writer dies."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.run.executor import DecodeStep, LostGroup
from s2sw.pipeline.run.job import prepare
from s2sw.pipeline.run.partition_state import PartitionTask
from s2sw.pipeline.run.partitions import StartWriter
from s2sw.pipeline.run.ray_executor import RayExecutor
from s2sw.pipeline.run.ray_writer import RayWriter, RayWriters, WriterProcess
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.run.run import ScreeningRun
from s2sw.pipeline.run.session import ray_session
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.wire import END
from s2sw.schemas.config import ClusterSettings, ScreenConfig
from s2sw.schemas.layout import writer_leases
from s2sw.schemas.outcomes import Reason, Status
from s2sw.schemas.run_record import RunSummary
from s2sw.schemas.tables import Row
from tests.robustness import accounts
from tests.support.null_stages import NullDecode, load_null

pytestmark = pytest.mark.integration

CLUSTER = ClusterSettings(workers=1, actors=1, object_store=100 << 20)
OBJECTS, BROKEN = 300, 7
OF_THE_RUN = ("run_id", "part", "date")


@dataclass(frozen=True)
class SomeBroken(NullDecode):
    """Gives every object two slices, but for one in BROKEN, which is truncated."""

    slices: int = 2

    def _rows(self, number: int, stored: StoredObject) -> Iterator[dict[str, Any]]:
        if int(stored.uri[-6:]) % BROKEN:
            yield from super()._rows(number, stored)
            return
        end = {"status": Status.QUARANTINED, "reason": Reason.TRUNCATED, "n_slices": 0, "decoder": "null"}
        yield {"object": number, "slice_index": END, **end, "attempts": 1, "decode_seconds": 0.0}


class Shared(RayExecutor):
    """Runs passes of null stages on the Ray that there is."""

    def __enter__(self) -> "Shared":
        return self

    def run_pass(
        self, decode: DecodeStep, detect: DetectSettings, number: int, lost: LostGroup
    ) -> Iterator[pa.Table]:
        null = DetectSettings(load=load_null, threshold=0.5, batch_size=16)
        return super().run_pass(SomeBroken(decode.todo), null, number, lost)


class Doomed(RayWriter):
    """A writer whose process is killed before the n-th call of a method. dies_at: method and n."""

    def __init__(self, task: PartitionTask, dies_at: tuple[str, int], process: WriterProcess) -> None:
        (self._method, self._calls), self._task = dies_at, task
        super().__init__(task, None, process)

    def push(self, method: str, *arguments: Any) -> None:
        if method == self._method:
            self._calls -= 1
            if self._calls == 0:
                self.settle()
                (lease,) = Path(self._task.output.root).glob(f"{writer_leases(self._task.number)}*")
                os.kill(json.loads(lease.read_bytes())["process"]["pid"], signal.SIGKILL)
        super().push(method, *arguments)


def screen(output: Path, partitions: int, start: StartWriter | None = None) -> tuple[RunSummary, list[Row]]:
    """Screen null objects; return the summary and all rows."""
    config = ScreenConfig(
        source=str(output.parent), output=str(output), private_dir=str(output.parent.parent / "private"),
        mode="open", profile="none", cluster=CLUSTER, partitions=partitions,
        parts={"rows": 30, "seconds": 3600},
    )  # fmt: skip
    objects = [StoredObject(f"s3://null/{n:06}", 1, f"{n:x}", float(n)) for n in range(OBJECTS)]
    job = replace(prepare(config), objects=lambda *_: iter(objects))
    resources = plan_resources(CLUSTER, "cpu")
    run = ScreeningRun(
        job, resources, make_executor=lambda _: Shared(CLUSTER, resources, []), start_writer=start
    )
    summary = run.execute()
    return summary, [row for table in ("objects", "slices") for row in accounts.rows(str(output), table)]


def mortal(deaths: tuple[tuple[str, int], ...], sharing: int = 1) -> StartWriter:
    """Return what starts writers of which some die.

    deaths: in the order of their start; sharing: so many of the first ones are in one process.
    """
    fates, shared = iter(deaths), WriterProcess(sharing)

    def start(task: PartitionTask) -> RayWriter:
        fate = next(fates, None)
        process = shared if task.term == 1 and task.number < sharing else WriterProcess()
        return Doomed(task, fate, process) if fate else RayWriter(task, None, process)

    return start


def assert_each_object_once(summary: RunSummary, rows: list[Row]) -> None:
    assert (summary.exit_code, summary.missing, summary.duplicates) == (0, 0, 0)
    assert summary.listed == OBJECTS == sum(summary.new.values())
    objects = [row for row in rows if "status" in row]
    assert set(Counter(row["object_id"] for row in objects).values()) == {1}
    assert len(objects) == OBJECTS
    broken = -(-OBJECTS // BROKEN)
    assert summary.new[Status.QUARANTINED] == broken == summary.reasons[Reason.TRUNCATED]
    slices = Counter((row["object_id"], row["slice_index"]) for row in rows if "status" not in row)
    assert set(slices.values()) == {1}
    assert slices.total() == 2 * (OBJECTS - broken) == summary.slices
    assert sum(part["finished"] for part in summary.partitions) == OBJECTS


def comparable(rows: list[Row]) -> list[Row]:
    kept = ({name: value for name, value in row.items() if name not in OF_THE_RUN} for row in rows)
    return sorted(kept, key=lambda row: (row["object_id"], row.get("slice_index", -1)))


@pytest.fixture(scope="module")
def on_ray() -> Iterator[None]:
    with ray_session(CLUSTER):
        yield


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/one").touch()
    return tmp_path / "source/results"


@pytest.mark.usefixtures("on_ray")
def test_eight_writers_give_the_rows_of_one(output: Path) -> None:
    one, expected = screen(output, 1)
    assert (one.exit_code, one.partitions) == (0, [])
    eight, rows = screen(output.with_name("eight"), 8, RayWriters(None, 8, processes=3))
    assert eight.exit_code == 0
    assert comparable(rows) == comparable(expected)
    assert (eight.by_status, eight.new, eight.reasons) == (one.by_status, one.new, one.reasons)
    assert (eight.slices, eight.views) == (one.slices, one.views)
    assert [(part["number"], part["writers"], part["left"]) for part in eight.partitions] == [
        (number, 1, 0) for number in range(8)
    ]
    assert sum(part["finished"] for part in eight.partitions) == OBJECTS
    again, same = screen(output.with_name("eight"), 3, RayWriters(None, 3, processes=1))
    assert (again.already_done, again.exit_code) == (OBJECTS, 0), "others than eight see all that is done"
    assert same == rows
    assert not list(output.parent.glob("*/runs/lease*"))


@pytest.mark.usefixtures("on_ray")
def test_a_writer_that_is_killed_is_followed_by_another_one(output: Path) -> None:
    """Before it has anything, with parts committed and others not, at the end, and its successor, too."""
    deaths = (("take", 1), ("take", 3), ("over", 1), ("take", 2), ("stop", 1))
    summary, rows = screen(output, 3, mortal(deaths))
    assert_each_object_once(summary, rows)
    assert sum(part["writers"] for part in summary.partitions) == 3 + len(deaths) - 1, (
        "none follows at the end"
    )
    again, same = screen(output, 1)
    assert (again.already_done, same) == (OBJECTS, rows)


@pytest.mark.usefixtures("on_ray")
def test_writers_that_share_a_process_which_is_killed_are_followed_by_others(output: Path) -> None:
    summary, rows = screen(output, 4, mortal((("take", 3),), sharing=3))
    assert_each_object_once(summary, rows)
    assert [part["writers"] for part in summary.partitions] == [2, 2, 2, 1]
