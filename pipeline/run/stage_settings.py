"""What the stages of a job are told, for screening and for building a profile alike."""

import functools
import logging
from pathlib import Path

from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.checks.needs import Fitted
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.profile.grouping import grouping
from s2sw.pipeline.profile.place import OnlinePlace, ProfilePlace
from s2sw.pipeline.run.executor import Executor
from s2sw.pipeline.run.job import Job
from s2sw.pipeline.run.resources import Resources, plan_resources
from s2sw.pipeline.stages.bundles import RemoteBundle
from s2sw.pipeline.stages.decoding import DecodeStage
from s2sw.pipeline.stages.detect_settings import DetectSettings, load
from s2sw.schemas.config import EMBEDDED, GroupSettings, TileSettings, run_fingerprint

log = logging.getLogger(__name__)

SMALL_BYTES = 512 << 20
"""Stored bytes of what is left to do, up to which a run needs no Ray."""


def resources_for(job: Job, fitted: Fitted, weights_bytes: int) -> Resources:
    """Return what a job may use, see ``plan_resources``."""
    config = job.config
    profiled = job.profile.record.precision if job.profile else None
    return plan_resources(
        fitted.cluster, config.device, weights_bytes, config.precision, config.attention, profiled
    )


def decode_stage(
    job: Job,
    todo: Todo,
    groups: GroupSettings | None,
    key: bytes | None,
    tiles: TileSettings | None = None,
) -> DecodeStage:
    """Return the decode stage over a to-do list.

    groups: of the profile in use. key: the id key. tiles: others than the configuration's.
    """
    config = job.config
    return DecodeStage(
        todo,
        job.record.image_size,
        tiles or config.tiles,
        config.decode,
        config.storage,
        job.deadline,
        config.private,
        job.classes,
        grouping(groups or config.groups, config.source, key),
        ranked=groups is not None,
    )


def detect_settings(job: Job, resources: Resources, profile: ProfilePlace | None) -> DetectSettings:
    """Return what detect stages are told."""
    config = job.config
    bundle: Path | RemoteBundle = job.bundle
    if is_s3(config.bundle) or (config.cluster.address and config.bundle == EMBEDDED):
        bundle = RemoteBundle.of(config.bundle, config.storage, job.bundle)
    return DetectSettings(
        load=functools.partial(load, bundle, resources.device, resources.precision, resources.attention),
        threshold=config.threshold,
        batch_size=1 if config.online else config.batch_size or (32 if resources.device == "cuda" else 8),
        threads=None if config.online else resources.threads,
        mask_threads=resources.mask_threads,
        deadline=job.deadline,
        private=config.private,
        profile=profile,
        zero_shot_map=config.zero_shot_map,
    )


def executor_for(job: Job, fitted: Fitted, resources: Resources, todo: Todo, small: bool) -> Executor:
    """Return Ray, or for little work a few processes: starting Ray takes longer than that.

    small: whether the work is little enough.
    """
    cluster = fitted.cluster
    if isinstance(job.profile, OnlinePlace):
        return _in_order(job, fitted, resources, job.profile)
    if does_without_ray(fitted, small):
        from s2sw.pipeline.run.process_executor import ProcessExecutor

        return ProcessExecutor(cluster, resources)
    from s2sw.pipeline.run.ray_executor import RayExecutor  # here: Ray is slow to import

    return RayExecutor(cluster, resources, _read_by_nodes(job))


def _in_order(job: Job, fitted: Fitted, resources: Resources, place: OnlinePlace) -> Executor:
    from s2sw.pipeline.run.online import InOrderExecutor, committed_in

    bundle, profile = job.record.fingerprint, place.record.fingerprint
    fingerprint = run_fingerprint(job.config, bundle, resources.precision, profile)
    log.warning(
        "profile: online: each object is ranked by those before it; other orders give other rank scores"
    )
    committed = committed_in(job.output, fingerprint)
    return InOrderExecutor(fitted.cluster, lambda: place.stream.open(fingerprint, committed))


def is_little(fitted: Fitted, objects: int, size: int) -> bool:
    """Tell whether so many objects to do, of so many stored bytes together, need no Ray."""
    return objects < fitted.cluster.ray_from and size <= SMALL_BYTES


def does_without_ray(fitted: Fitted, small: bool) -> bool:
    """Tell whether a few processes do the work. small: whether it is little enough."""
    return fitted.cluster.address is None and (small or fitted.small_only)


def _read_by_nodes(job: Job) -> list[Path]:
    """Return the paths that processes of other machines open."""
    named = (job.config.source, job.config.bundle)
    return [Path(path) for path in named if not is_s3(path) and path != EMBEDDED]
