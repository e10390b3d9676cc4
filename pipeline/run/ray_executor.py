"""Passes on Ray Data: to-do list -> fetch and decode (tasks) -> detect (actors) -> driver."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import ray
from typing_extensions import override

from s2sw.pipeline.profile.place import ProfilePlace
from s2sw.pipeline.run.executor import DecodeStep, Executor, LostGroup, RunFailedError, words_of
from s2sw.pipeline.run.ray_data_private import without_helpers
from s2sw.pipeline.run.ray_private import lost_blocks
from s2sw.pipeline.run.resources import Resources
from s2sw.pipeline.run.session import check_shared, started
from s2sw.pipeline.run.shared_files import SharedTodo, shared_profile
from s2sw.pipeline.stages.detect_actor import DetectActor
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.schemas.config import ClusterSettings

MAIN_TASK_RETRIES = 1
"""How often Ray runs a decode task of the main pass again whose process died; sweeps take the rest."""

# measured on Ray 2.60: with these a task or actor that dies costs its block and no more. max_restarts must
# be unlimited: a pool whose last actor is gone makes Ray Data wait for ever.
ACTOR_RESTARTS = -1
ACTOR_TASK_RETRIES = 2


class RayExecutor(Executor):
    """Runs passes on a Ray that is started here, or on the cluster that this process is connected to.

    shared: paths that all nodes of a cluster must see. To-do lists and profiles reach them through Ray.
    """

    name = "ray"

    def __init__(self, cluster: ClusterSettings, resources: Resources, shared: list[Path]) -> None:
        self._cluster, self._resources, self._shared = cluster, resources, shared
        self._stack = contextlib.ExitStack()
        self._profile: tuple[ProfilePlace, ProfilePlace] | None = None  # as it lies there, and shared

    def __enter__(self) -> "RayExecutor":
        if self._cluster.address:  # connected already, since resources were planned by what is there
            try:
                check_shared(self._shared)
            except ValueError as error:
                raise RunFailedError(str(error)) from error
        else:
            self._stack.enter_context(started(self._cluster))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @override
    def run_pass(
        self, decode: DecodeStep, detect: DetectSettings, number: int, lost: LostGroup
    ) -> Iterator[pa.Table]:
        retries = MAIN_TASK_RETRIES if number == 0 else 0
        resources = self._resources if number == 0 else self._for_few(decode)
        if self._cluster.address:
            decode, detect = decode.over(decode.todo.mapped(SharedTodo)), self._with_shared_profile(detect)
        try:
            yield from run_pass(decode, detect, resources, self._cluster, retries, lost)
        except ray.exceptions.RayError as error:
            raise RunFailedError(f"Ray gave up ({words_of(error)})") from error

    def _for_few(self, decode: DecodeStep) -> Resources:
        """Begin a sweep with no more actors than it has groups: each loads the detector again.

        Ray Data starts more where a group has that many slices.
        """
        return replace(self._resources, actors=min(self._resources.actors, decode.todo.groups))

    def _with_shared_profile(self, detect: DetectSettings) -> DetectSettings:
        """Put a profile into the object store, once for all passes."""
        if detect.profile is None:
            return detect
        if self._profile is None or self._profile[0] != detect.profile:
            self._profile = detect.profile, shared_profile(detect.profile)
        return replace(detect, profile=self._profile[1])


def run_pass(
    decode: DecodeStep,
    detect: DetectSettings,
    resources: Resources,
    cluster: ClusterSettings,
    task_retries: int,
    lost: LostGroup = lambda _: None,
) -> Iterator[pa.Table]:
    """Yield result tables (schema DETECTED) of all objects of ``decode.todo`` in any order.

    task_retries: how often Ray runs a decode task again whose process died. Blocks whose task keeps dying
    are missing from the results: the caller compares. lost: as of ``Executor.run_pass``.
    """
    context = ray.data.DataContext.get_current().copy()
    # the dataset keeps the settings that are current when it is made
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # lost blocks are no errors: sweeps follow
    helpers = contextlib.nullcontext() if cluster.address else without_helpers()
    with ray.data.DataContext.current(context), helpers, lost_blocks(lost), warnings.catch_warnings():
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
            DetectActor,
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
