"""What is missing is tried again, and a run in which nothing lives fails instead of giving verdicts."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.todo import Todo, TodoReader
from s2sw.pipeline.run.executor import LostGroup, RunFailedError
from s2sw.pipeline.run.passes import ALONE, Passes
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.pipeline.stages.wire import DETECTED, table_of
from s2sw.schemas.outcomes import Reason
from s2sw.schemas.tables import Row
from tests.support.rows import end_row, slice_row

GIVE_UP = 4
CANARY = "canary.png"


class Stages:
    """Plays the stages: objects whose name holds ``crash`` take their group along, ``fail`` the detector."""

    def __init__(self, canary_lives: bool = True) -> None:
        self.tried: list[int] = []  # sizes of the to-do lists
        self._canary_lives = canary_lives

    def __call__(self, todo: Todo, number: int, lost: LostGroup) -> Iterator[pa.Table]:
        self.tried.append(todo.objects)
        for group in range(todo.groups):
            objects = todo.objects_of(group)
            names = [Path(stored.uri).name for _, stored in objects]
            if any("crash" in name or (name == CANARY and not self._canary_lives) for name in names):
                lost("ImportError at pipeline/stages/decoding.py:1")
                continue
            rows: list[Row] = []
            for place, name in zip((place for place, _ in objects), names, strict=True):
                failed = {"failure": "RuntimeError at model/maps.py:2"} if "fail" in name else {}
                rows += [
                    slice_row(place, 0, reason=Reason.DETECTOR_FAILED if failed else None) | failed,
                    end_row(place, 1),
                ]
            yield table_of(rows, DETECTED)


class Kept:
    """Keeps what passes hand over."""

    def __init__(self) -> None:
        self.ends: dict[str, Reason | None] = {}
        self.said: list[str] = []

    def finish(self, finished: FinishedObject, reader: TodoReader) -> None:
        _, stored = reader.row(finished.number)
        assert stored.uri not in self.ends
        self.ends[stored.uri] = finished.reason

    def tick(self) -> None:
        pass

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Kept]:
    def run(names: list[str], stages: Stages, group: int = 1, give_up_after: int = GIVE_UP) -> Kept:
        listed = (StoredObject(name, 1, "", float(place)) for place, name in enumerate(names))
        freeze(listed, lambda address, _: address, tmp_path / "manifest")
        todo = Todo.write(tmp_path / "todo", pq.read_table(tmp_path / "manifest").to_batches(), group)
        kept = Kept()
        passes = Passes(stages, kept, lambda n: tmp_path / f"pass-{n}", lambda: False, give_up_after)
        passes.run(todo)
        return kept

    return run


def test_what_crashes_beside_others_is_quarantined(run: Callable[..., Kept]) -> None:
    names = ["a", "crash-1", "b", "crash-2", "c"]
    kept = run(names, Stages(), group=2)
    expected = {name: Reason.WORKER_CRASHED if "crash" in name else None for name in names}
    assert kept.ends == expected


def test_everything_crashes_and_the_run_stops_soon(run: Callable[..., Kept]) -> None:
    stages = Stages()
    with pytest.raises(RunFailedError, match="no object could be decoded: ImportError at pipeline"):
        run([f"crash-{n}" for n in range(500)], stages, group=5)
    assert stages.tried == [500, GIVE_UP], "the main pass, cut short, and a few objects alone"


def test_groups_that_all_hold_one_that_crashes_are_no_failed_run(run: Callable[..., Kept]) -> None:
    names = [f"crash-{n}" if n % 10 == 0 else f"fine-{n}" for n in range(100)]
    kept = run(names, Stages(), group=10)
    assert len(kept.ends) == 100
    assert sum(reason is Reason.WORKER_CRASHED for reason in kept.ends.values()) == 10


@pytest.mark.parametrize("lives", [True, False])
def test_few_objects_that_all_crash_are_judged_by_a_sound_picture(
    run: Callable[..., Kept], lives: bool
) -> None:
    names = [f"crash-{n}" for n in range(ALONE)]
    if lives:
        assert set(run(names, Stages()).ends.values()) == {Reason.WORKER_CRASHED}
    else:
        with pytest.raises(RunFailedError, match="no object could be decoded"):
            run(names, Stages(canary_lives=False))


def test_a_detector_that_always_fails_stops_the_run(run: Callable[..., Kept]) -> None:
    with pytest.raises(RunFailedError, match=r"fails on every picture: RuntimeError at model/maps\.py:2"):
        run([f"fail-{n}" for n in range(50)], Stages())


def test_a_detector_that_fails_at_first_is_forgiven_once_it_scores(run: Callable[..., Kept]) -> None:
    kept = run(["fail-0", "fail-1", "fine", "fail-2"], Stages())
    assert kept.ends == dict.fromkeys(["fail-0", "fail-1", "fail-2"], Reason.DETECTOR_FAILED) | {"fine": None}


def test_the_breaker_can_be_switched_off(run: Callable[..., Kept]) -> None:
    kept = run([f"crash-{n}" for n in range(20)], Stages(), give_up_after=0)
    assert set(kept.ends.values()) == {Reason.WORKER_CRASHED}
