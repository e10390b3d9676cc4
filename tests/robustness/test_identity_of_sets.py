"""listed = screened + no_pixels + quarantined + deferred, by ids, over random schedules of faults.

The run's own code lists, subtracts, collects, writes, sweeps and accounts; only what Ray would do is played
by a schedule: rows come in any order, twice, or not at all, and the driver, or a partition's writer, dies at
any of its writes.
"""

import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from s2sw.model.bundles.record import BundleRecord, read_record
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.run.executor import DecodeStep, Executor, LostGroup
from s2sw.pipeline.run.job import Job
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.run.run import ScreeningRun
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.wire import DETECTED, table_of
from s2sw.schemas.config import ClusterSettings, ScreenConfig
from s2sw.schemas.outcomes import STORAGE_REASONS, Reason, Status, status_of
from s2sw.schemas.run_record import RunSummary
from s2sw.schemas.tables import Row
from tests.robustness import accounts
from tests.support.mortal import Killed, MortalOutput, MortalWriters
from tests.support.rows import end_row, slice_row

RESOURCES = plan_resources(ClusterSettings(workers=1), "cpu")
REASONS = st.sampled_from([reason for reason in Reason if reason is not Reason.TIME_WINDOW])


@dataclass(frozen=True)
class Planned:
    """An object and how its reading goes: slices, a reason, how often it kills its task first."""

    slices: int
    reason: Reason | None
    passing: int
    deaths: int

    def rows(self, number: int, attempt: int) -> list[Row]:
        """Return what a stage gives for it at the n-th try; nothing while it kills its task."""
        if attempt < self.deaths:
            return [slice_row(number, 0)] if self.slices else []
        if attempt < self.passing:
            return [end_row(number, 0, Reason.TIMEOUT)]
        if self.reason is not None:
            return [end_row(number, 0, self.reason)]
        return [*(slice_row(number, i, 0.1) for i in range(self.slices)), end_row(number, self.slices)]

    @property
    def end(self) -> tuple[Status, Reason | None]:
        """How it ends, if no run stops early: three passes are made."""
        if self.deaths >= 3:
            return Status.QUARANTINED, Reason.WORKER_CRASHED
        if self.passing >= 3:
            return Status.QUARANTINED, Reason.TIMEOUT
        return self.at_last

    @property
    def at_last(self) -> tuple[Status, Reason | None]:
        """How it ends if it is tried often enough."""
        return (Status.SCREENED, None) if self.reason is None else (status_of(self.reason), self.reason)


objects = st.builds(
    Planned,
    slices=st.integers(1, 4),
    reason=st.none() | REASONS,
    passing=st.integers(0, 3),
    deaths=st.integers(0, 3),
)


@dataclass(frozen=True)
class Incarnation:
    """One run: dies at a write, is stopped by the window or by a signal after some tables, or finishes.

    partitions: that it has. deaths: the writes at which its writers die, in the order of their start.
    """

    dies_at: int | None = None
    after: bool = False
    partitions: int = 1
    deaths: tuple[int | None, ...] = ()
    stops_at: int | None = None
    window: bool = False


incarnations = st.lists(
    st.builds(Incarnation, dies_at=st.none() | st.integers(1, 8), after=st.booleans(),
              stops_at=st.none() | st.integers(0, 5), window=st.booleans(), partitions=st.integers(1, 3),
              deaths=st.lists(st.none() | st.integers(1, 4), max_size=6).map(tuple)),
    max_size=4,
)  # fmt: skip


class Schedule(Executor):
    """Plays what processes would do: rows in any order, in tables of random size, some of them twice."""

    name = "schedule"

    def __init__(self, plan: dict[str, Planned], schedule: random.Random, incarnation: Incarnation) -> None:
        self.plan, self.schedule, self.incarnation = plan, schedule, incarnation
        self.run: Any = None
        self.tries = Counter[str]()  # of each object; more than three where a writer of its partition died

    @override
    def __enter__(self) -> "Schedule":
        return self

    @override
    def __exit__(self, *_: object) -> None:
        pass

    @override
    def run_pass(
        self, decode: DecodeStep, detect: DetectSettings, number: int, lost: LostGroup
    ) -> Iterator[pa.Table]:
        rows: list[Row] = []
        for group in range(decode.todo.groups):
            for place, stored in decode.todo.objects_of(group):
                name = Path(stored.uri).name
                rows += self.plan[name].rows(place, self.tries[name])
                self.tries[name] += 1
        rows += self.schedule.choices(rows, k=min(3, len(rows)))
        self.schedule.shuffle(rows)
        tables = 0
        while rows:
            if tables == self.incarnation.stops_at:
                if not self.incarnation.window:
                    raise KeyboardInterrupt
                self.run._job = replace(self.run._job, deadline=time.time())
                numbers = {row["object"] for row in rows}
                rows = [end_row(place, 0, Reason.TIME_WINDOW) for place in numbers]
            size = self.schedule.randint(1, 6)
            yield table_of(rows[:size], DETECTED)
            del rows[:size]
            tables += 1


def run(
    root: Path,
    record: BundleRecord,
    plan: dict[str, Planned],
    schedule: random.Random,
    life: Incarnation,
) -> RunSummary:
    """Make one run over the archive below ``root``. Raises Killed."""
    config = ScreenConfig(
        profile="none",
        source=str(root / "archive"), output=str(root / "out"), mode="open",
        parts={"rows": schedule.randint(1, 8), "seconds": 3600},
        partitions=life.partitions,
        cluster={"give_up_after": 0},  # archives in which everything crashes are among the plans
    )  # fmt: skip
    output = MortalOutput(root / "out", life.dies_at, life.after)
    job = Job(config, root, record, output, Inside(root / "private"), None)
    executor = Schedule(plan, schedule, life)
    writers = MortalWriters(output, life.deaths, life.after)
    executor.run = ScreeningRun(job, RESOURCES, make_executor=lambda _: executor, start_writer=writers.start)
    try:
        return executor.run.execute()
    finally:  # the process of a killed driver would be dead; that of the tests is not
        for lease in root.glob("out/runs/lease*"):
            lease.unlink()


def check_files(output: str, plan: dict[str, Planned], run_id: str, retried: bool) -> Counter[str]:
    """Compare the committed files with the plan; return by status the objects that are done for this run.

    retried: some may have been tried again because a writer died.
    """
    found = accounts.rows(output, "objects")
    assert max(Counter((row["object_id"], row["run_id"]) for row in found).values(), default=1) == 1
    newest = {row["object_id"]: row for row in sorted(found, key=lambda row: row["run_id"])}
    for row in found:  # only what storage kept from a run is there again
        assert row is newest[row["object_id"]] or row["reason"] in STORAGE_REASONS
    committed = {row["part"] for row in found}
    assert set(accounts.parts(output, "slices")) <= committed, "no slices without their objects"
    slices = Counter((row["object_id"], row["slice_index"]) for row in accounts.rows(output, "slices"))
    expected = {(row["object_id"], i): 1 for row in found for i in range(row["n_slices"])}
    assert slices == expected
    for row in found:
        planned = plan[accounts.file_name(row)]
        ends = {planned.end, planned.at_last} if retried else {planned.end}
        assert (row["status"], row["reason"]) in ends
        assert row["n_slices"] == (planned.slices if row["status"] == Status.SCREENED else 0)
    return Counter(
        row["status"]
        for row in newest.values()
        if row["run_id"] == run_id or row["reason"] not in STORAGE_REASONS
    )


@pytest.fixture(scope="module")
def record(bundle: Path) -> BundleRecord:
    return read_record(bundle)


@given(plans=st.lists(objects, min_size=1, max_size=12), lives=incarnations, seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_every_listed_object_is_accounted_for(
    record: BundleRecord, plans: list[Planned], lives: list[Incarnation], seed: int
) -> None:
    schedule = random.Random(seed)
    plan = {f"{number:02}.png": planned for number, planned in enumerate(plans)}
    with tempfile.TemporaryDirectory() as folder:
        root, output = Path(folder), f"{folder}/out"
        (root / "archive").mkdir()
        for name in plan:
            (root / "archive" / name).write_bytes(name.encode())
        for life in [*lives, Incarnation()]:
            try:
                summary = run(root, record, plan, schedule, life)
            except Killed:
                accounts.assert_readable(output)
                continue
            statuses = check_files(output, plan, summary.run_id, any(life.deaths for life in lives))
            assert summary.listed == len(plan) == sum(summary.by_status.values())
            assert (summary.missing, summary.duplicates) == (0, 0)
            deferred = summary.by_status[Status.DEFERRED]
            assert summary.by_status == dict.fromkeys(Status, 0) | statuses | {Status.DEFERRED: deferred}
            assert deferred == len(plan) - statuses.total()
            assert summary.exit_code == (3 if deferred else 0)
            assert deferred == 0 or life.stops_at is not None
        assert statuses.total() == len(plan), "the last run finishes"
        assert not list(root.glob("private/*/work-*"))
