"""The Ray Data graph of one pass: to-do list -> fetch and decode (tasks) -> detect (actors) -> driver."""

import logging
import warnings
from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa
import ray

from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.run.resources import Resources
from s2sw.pipeline.stages.detecting import DetectSettings, DetectStage
from s2sw.schemas.config import ClusterSettings

# measured on Ray 2.60: with these a task or actor that dies costs its block and no more. max_restarts must
# be unlimited: a pool whose last actor is gone makes Ray Data wait for ever.
ACTOR_RESTARTS = -1
ACTOR_TASK_RETRIES = 2


class DecodeStep(Protocol):
    """What ``DecodeStage`` is for the graph."""

    @property
    def todo(self) -> Todo:
        """The objects of the pass."""

    def __call__(self, groups: pa.Table) -> Iterator[pa.Table]:
        """Turn numbers of groups into tables of schema DECODED."""


def run_pass(
    decode: DecodeStep,
    detect: DetectSettings,
    resources: Resources,
    cluster: ClusterSettings,
    task_retries: int,
) -> Iterator[pa.Table]:
    """Yield result tables (schema DETECTED) of all objects of ``decode.todo`` in any order.

    task_retries: how often Ray runs a decode task again whose process died. Blocks whose task keeps dying
    are missing from the results: the caller compares.
    """
    context = ray.data.DataContext.get_current().copy()
    # the dataset keeps the settings that are current when it is made
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # lost blocks are no errors: sweeps follow
    with ray.data.DataContext.current(context), warnings.catch_warnings():
        # retries and restarts have no other place in the Ray that is pinned
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        dataset = _dataset(decode, detect, resources, cluster, task_retries)
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)


def _dataset(
    decode: DecodeStep,
    detect: DetectSettings,
    resources: Resources,
    cluster: ClusterSettings,
    task_retries: int,
) -> "ray.data.Dataset":
    groups = decode.todo.groups
    return (
        # only numbers of groups enter Ray; each task reads its own rows of the to-do list
        ray.data.range(groups, override_num_blocks=groups)
        .map_batches(
            lambda table: decode(table),
            batch_size=None,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=ray.data.TaskPoolStrategy(min(resources.decode_tasks or groups, groups)),
            num_cpus=cluster.decode_cpus,
            # a Ray of this machine's own has no other tenants to keep memory from
            memory=cluster.decode_memory if cluster.address else None,
            max_retries=task_retries,
        )
        .map_batches(
            DetectStage,
            fn_constructor_args=(detect,),
            batch_size=detect.batch_size,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=ray.data.ActorPoolStrategy(
                min_size=resources.actors,
                max_size=resources.max_actors,
                max_tasks_in_flight_per_actor=4 * resources.calls_per_actor,
                max_concurrent_calls_per_actor=resources.calls_per_actor,
                enable_true_multi_threading=resources.calls_per_actor > 1,
            ),
            num_cpus=resources.cpus_per_actor,
            num_gpus=resources.gpus_per_actor,
            max_restarts=ACTOR_RESTARTS,
            max_task_retries=ACTOR_TASK_RETRIES,
        )
    )
