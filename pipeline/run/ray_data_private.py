"""Helpers of Ray Data that a Ray of one machine does without: each would be a Python process of its own.

For Ray 2.60, where no setting stops them. They took a quarter of the processor time of a small run.
"""

import contextlib
import uuid
from collections.abc import Iterator
from unittest.mock import patch

import ray
from ray.data._internal.cluster_autoscaler import ClusterAutoscaler
from ray.data._internal.execution import streaming_executor
from ray.data._internal.execution.interfaces import ExecutionResources
from ray.data._internal.execution.operators import actor_pool_map_operator
from ray.data._internal.stats import _StatsManager
from typing_extensions import override

TOLD = ("update_execution_metrics", "update_iteration_metrics", "register_dataset_to_stats_actor")


class FixedSize(ClusterAutoscaler):
    """A machine does not grow: stands in for Ray Data's autoscaler and the actor that it asks."""

    @override
    def try_trigger_scaling(self) -> None: ...

    @override
    def on_executor_shutdown(self) -> None: ...

    @override
    def get_total_resources(self) -> ExecutionResources:
        there: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        total: ExecutionResources = ExecutionResources.from_resource_dict(there)
        return total


class OneNode:
    """Stands in for the actor that is told on which node each actor starts: there is one."""

    def __init__(self) -> None:
        self.update_actor_location = self

    def remote(self, actor: str, node: str) -> None:
        """Take note of nothing."""


@contextlib.contextmanager
def without_helpers() -> Iterator[None]:
    """Run Ray Data without statistics for a dashboard, without autoscaler, and without a table of nodes."""
    operator = actor_pool_map_operator
    patches: tuple[contextlib.AbstractContextManager[object], ...] = (
        *(patch.object(_StatsManager, name, _nothing) for name in TOLD),
        patch.object(_StatsManager, "gen_dataset_id_from_stats_actor", lambda: uuid.uuid4().hex),
        patch.object(streaming_executor, "create_cluster_autoscaler", lambda *_, **__: FixedSize()),
        patch.object(operator, "get_or_create_actor_location_tracker", OneNode),
        # where it is told of no location, Ray Data keeps the one that the actor had
        patch.object(operator, "get_actor_locations", lambda _: {}),
    )
    with contextlib.ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        yield


def _nothing(*_: object, **__: object) -> None:
    """Stand in for what tells the actor of statistics."""
