"""A pass on Ray by itself, on a Ray: what an actor does with the batches it is given."""

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.run.ray_executor import run_pass
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.run.session import ray_session
from s2sw.pipeline.run.shared_files import SharedTodo
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.wire import END
from s2sw.schemas.config import ClusterSettings
from tests.support.meeting_detector import AT_ONCE, MeetingDetector
from tests.support.null_detector import LOW
from tests.support.null_stages import NullDecode

pytestmark = pytest.mark.integration

CLUSTER = ClusterSettings(workers=1, actors=1, object_store=100 << 20)
OBJECTS = 6


def test_an_actor_with_a_gpu_has_two_batches_in_hand(tmp_path: Path) -> None:
    """While one is on the GPU, the next is copied there; results are the same as of one after the other.

    Rows of the to-do list come through the object store. Ray Data's own helpers, which are actors with
    names, are not started on a machine's own Ray.
    """
    listed = (StoredObject(f"null/{number}", 1, "", float(number)) for number in range(OBJECTS))
    freeze(listed, lambda address, _: address, tmp_path / "manifest")
    todo = Todo.write(tmp_path / "todo", pq.read_table(tmp_path / "manifest").to_batches(), 1)
    detect = DetectSettings(load=MeetingDetector, threshold=0.5, batch_size=2)  # rows: a slice and its end
    with ray_session(CLUSTER):
        shared = SharedTodo(todo)
        shutil.rmtree(todo.folder)
        resources = replace(plan_resources(CLUSTER, "cpu"), calls_per_actor=AT_ONCE)
        rows = pa.concat_tables(run_pass(NullDecode(shared), detect, resources, CLUSTER, 0)).to_pylist()
        helpers = ray.util.list_named_actors(all_namespaces=True)
    assert helpers == []
    slices = [row for row in rows if row["slice_index"] != END]
    assert sorted(row["object"] for row in slices) == list(range(OBJECTS))
    assert {(row["reason"], row["image_score"]) for row in slices} == {(None, LOW)}
