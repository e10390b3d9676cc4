"""Passes in a few processes: how many decode depends on whether the detector waits for them."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from s2sw.pipeline.run import process_executor
from s2sw.pipeline.run.process_executor import ProcessExecutor
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.schemas.config import ClusterSettings

GROUPS, DECODERS = 6, 3
SETTINGS = DetectSettings(load=lambda: cast("Any", None), threshold=0.5, batch_size=2)
Decode = Callable[[int], Iterator[pa.Table]]


def rows_of_a_pass(decode: Decode, detect_stage: Callable[[Any], Any], folder: Path) -> tuple[int, list[int]]:
    """Return how many processes were started, and the groups that came out."""
    started = []

    class Process:
        def __init__(self, stage: object) -> None:
            started.append(stage)

        def decode(self, group: int) -> Iterator[pa.Table]:
            return decode(group)

        def close(self) -> None:
            pass

    def lost(words: str) -> None:
        raise AssertionError(words)

    cluster = ClusterSettings(workers=1, decode_tasks=DECODERS, temp_dir=str(folder))
    stage: Any = SimpleNamespace(todo=SimpleNamespace(groups=GROUPS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_executor, "DecodeProcess", Process)
        patch.setattr(process_executor, "detect_stage", detect_stage)
        with ProcessExecutor(cluster, plan_resources(cluster, "cpu")) as executor:
            tables = list(executor.run_pass(stage, SETTINGS, 0, lost))
    return len(started), sorted(pa.concat_tables(tables).column("group").to_pylist())


def test_one_process_is_enough_while_the_detector_has_slices(tmp_path: Path) -> None:
    decoded = threading.Event()

    def decode(group: int) -> Iterator[pa.Table]:
        yield pa.table({"group": [group]})
        if group == GROUPS - 1:
            decoded.set()

    def detect_stage(_: object) -> Callable[[pa.Table], pa.Table]:
        decoded.wait()  # as one that takes long to load
        return lambda table: table

    assert rows_of_a_pass(decode, detect_stage, tmp_path) == (1, list(range(GROUPS)))


def test_more_are_started_where_the_detector_waits(tmp_path: Path) -> None:
    together = threading.Barrier(DECODERS)

    def decode(group: int) -> Iterator[pa.Table]:
        if group < DECODERS:
            together.wait()  # nothing comes before all processes decode
        yield pa.table({"group": [group]})

    found = rows_of_a_pass(decode, lambda _: lambda table: table, tmp_path)
    assert found == (DECODERS, list(range(GROUPS)))
