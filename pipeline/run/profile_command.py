"""Building a profile for a job: as part of its run, or as a command of its own."""

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from s2sw.model.bundles.record import WEIGHTS
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.pipeline.privacy.private_dir import RunState, new_run_id
from s2sw.pipeline.profile.drafting import Reviewed
from s2sw.pipeline.profile.folder import ProfileError, ProfileFolder
from s2sw.pipeline.run.executor import Executor
from s2sw.pipeline.run.job import Job
from s2sw.pipeline.run.profile_building import NoGroupsError, ProfileBuilder, Watch
from s2sw.pipeline.run.profiles import new_record
from s2sw.pipeline.run.resources import Resources, fit_to_machine
from s2sw.pipeline.run.session_folder import wipe_abandoned
from s2sw.pipeline.run.stage_settings import (
    decode_stage,
    detect_settings,
    executor_for,
    resources_for,
)
from s2sw.schemas.profile import LEAST_PICTURES, ProfileRecord


def builder_of(
    job: Job,
    resources: Resources,
    key: bytes | None,
    address: str,
    executor: Callable[[Todo], contextlib.AbstractContextManager[Executor]],
    state: RunState,
    watch: Watch,
) -> ProfileBuilder:
    """Return what builds a job's profile at an address. key: the id key; others as of ``ProfileBuilder``."""
    known = job.profile.record if job.profile else None
    groups, tiles = (known.settings, known.tiles) if known else (job.config.groups, None)
    nothing = Todo(state.work, 0, 0, 1)
    return ProfileBuilder(
        ProfileFolder(address, job.config.storage, key),
        decode_stage(job, nothing, groups, key, tiles),
        detect_settings(job, resources, None),
        job.record.grid**2,
        executor,
        state.work / "profile",
        state.folder,
        watch,
        job.config.cluster.give_up_after,
        open_labels=not job.config.private,
    )


@dataclass(frozen=True)
class _Told:
    """A watch without a time window."""

    tell: Callable[[str], None]

    def say(self, text: str) -> None:
        self.tell(text)

    def too_late(self) -> bool:
        return False


def build_profile(
    job: Job, address: str, tell: Callable[[str], None], reviewed: Reviewed | None = None
) -> ProfileRecord:
    """Build the profile of a job's source at an address, and return its record.

    One that lies there gets the groups that it lacks. reviewed: let later pictures into its groups as well,
    by what reviewers said. tell: is told what is being done. Raises NoGroupsError, and ProfileError for one
    that cannot be used.
    """
    if job.profile and job.profile.record.anonymous:
        raise ProfileError(f"profile: {address} is an anonymous copy; build or update the one it was made of")
    wipe_abandoned(job.config.cluster)
    size = (job.bundle / WEIGHTS).stat().st_size
    fitted = fit_to_machine(job.config.cluster, size)
    resources = resources_for(job, fitted, size)
    state = job.inside.open_state(address, new_run_id())
    key = job.inside.make_key() if job.config.private else None
    before = job.profile.record if job.profile else None
    record = before or new_record(job.config, job.record, key, resources.precision)

    def executor(todo: Todo) -> contextlib.AbstractContextManager[Executor]:
        return executor_for(job, fitted, resources, todo, small=True)

    try:
        tell("listing")
        listed = freeze(job.objects(job.config, Counter()), object_ids(key), state.manifest)
        builder = builder_of(job, resources, key, address, executor, state, _Told(tell))
        record = record.model_copy(update={"listed": listed})
        if reviewed is None:
            built = builder.build(state.manifest, record)
        else:
            built = builder.update(state.manifest, record, reviewed)
    finally:
        state.clear()
    if built is None:
        raise NoGroupsError(
            f"profile: {job.config.source} has no {LEAST_PICTURES} pictures of one kind; set groups, "
            "or screen it without a profile"
        )
    return built
