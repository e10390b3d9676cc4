"""What an executor asks of Ray for each pass; no Ray is started."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.run import ray_executor
from s2sw.pipeline.run.ray_executor import MAIN_TASK_RETRIES, RayExecutor
from s2sw.pipeline.run.resources import Resources, plan_resources
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.schemas.config import ClusterSettings
from tests.support.null_stages import NullDecode, load_null

ACTORS = 8


@pytest.mark.parametrize(
    ("number", "groups", "actors", "retries"),
    [(0, 3, ACTORS, MAIN_TASK_RETRIES), (1, 3, 3, 0), (2, 1, 1, 0), (1, 100, ACTORS, 0)],
)
def test_a_sweep_begins_with_no_more_detectors_than_groups(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, groups: int, actors: int, retries: int
) -> None:
    """In the main pass one group may be a volume of thousands of slices: all detectors are there for it."""
    asked: list[tuple[Resources, int]] = []

    def no_pass(*given: object) -> Iterator[pa.Table]:
        _, _, resources, _, task_retries, _ = given
        assert isinstance(resources, Resources)
        assert isinstance(task_retries, int)
        asked.append((resources, task_retries))
        return iter(())

    monkeypatch.setattr(ray_executor, "run_pass", no_pass)
    cluster = ClusterSettings(workers=1, actors=ACTORS)
    resources = plan_resources(cluster, "cpu")
    detect = DetectSettings(load=load_null, threshold=0.5, batch_size=2)
    executor = RayExecutor(cluster, resources, [])
    todo = Todo(tmp_path, groups, groups, 1)
    assert list(executor.run_pass(NullDecode(todo), detect, number, lambda _: None)) == []
    assert asked == [(replace(resources, actors=actors), retries)]
    assert asked[0][0].max_actors == ACTORS
