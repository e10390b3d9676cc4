"""One screening run: list, subtract what is done, screen the rest, sweep what is missing, account for all."""

import contextlib
import functools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict

import pyarrow as pa

from s2sw.model.bundles.record import WEIGHTS
from s2sw.pipeline.checks.needs import Fitted
from s2sw.pipeline.ledger.audit import AuditLog
from s2sw.pipeline.ledger.done import deferred_objects, done_objects
from s2sw.pipeline.ledger.lease import Lease
from s2sw.pipeline.ledger.merging import warn_of_old_parts
from s2sw.pipeline.ledger.output_key import configured_key
from s2sw.pipeline.ledger.run_records import next_run_id
from s2sw.pipeline.ledger.summary import describe_bundle
from s2sw.pipeline.ledger.writer import sweep_orphans
from s2sw.pipeline.listing.id_sets import IdSets
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.partitions import write_partitions
from s2sw.pipeline.listing.todo import Todo, group_size
from s2sw.pipeline.privacy.ids import key_id, object_ids
from s2sw.pipeline.profile.place import ProfilePlace
from s2sw.pipeline.run.account import account
from s2sw.pipeline.run.executor import Executor, LostGroup
from s2sw.pipeline.run.interruption import Interruption
from s2sw.pipeline.run.job import Job
from s2sw.pipeline.run.metrics import Live, MetricsFile
from s2sw.pipeline.run.partitions import StartWriter
from s2sw.pipeline.run.profiles import needs_building, new_record, own_address
from s2sw.pipeline.run.progress import ProgressDisplay, Tally, Timeline
from s2sw.pipeline.run.recording import now, recorded
from s2sw.pipeline.run.resources import Resources, fit_to_machine
from s2sw.pipeline.run.session_folder import wipe_abandoned
from s2sw.pipeline.run.stage_settings import (
    decode_stage,
    detect_settings,
    does_without_ray,
    executor_for,
    is_little,
    resources_for,
)
from s2sw.pipeline.run.window import in_window
from s2sw.pipeline.run.writing import RunParts, Writing, planned_partitions
from s2sw.schemas.config import run_fingerprint
from s2sw.schemas.run_record import RunSummary

log = logging.getLogger(__name__)


def screen(job: Job, live: bool = False) -> RunSummary:
    """Screen what is not done yet and return the summary, which is also in ``runs/RUN.json``.

    live: draw a bar on standard error.
    """
    wipe_abandoned(job.config.cluster)
    with contextlib.ExitStack() as stack:
        if job.config.cluster.address:
            from s2sw.pipeline.run.session import started

            stack.enter_context(started(job.config.cluster, job.config.private))
        size = (job.bundle / WEIGHTS).stat().st_size
        fitted = fit_to_machine(job.config.cluster, size)
        for words in fitted.words:
            log.warning("%s", words)
        return ScreeningRun(job, resources_for(job, fitted, size), live, fitted=fitted).execute()


class ScreeningRun:
    """A run in its steps. Whatever ends it early, whole objects are committed and a run file says so."""

    def __init__(
        self,
        job: Job,
        resources: Resources,
        live: bool = False,
        make_executor: Callable[[Todo], Executor] | None = None,
        fitted: Fitted | None = None,
        start_writer: StartWriter | None = None,
    ) -> None:
        """live: as of ``screen``. fitted: the settings of the cluster that this machine can carry.

        make_executor: gives what runs the passes, instead of Ray or processes as fits the to-do list.
        start_writer: starts a partition's writer, instead of as an actor of Ray.
        """
        self._job, self._make_executor, self._start_writer = job, make_executor, start_writer
        self._fitted = fitted or Fitted(job.config.cluster)
        self._config = job.config
        self._resources = resources
        self._tally = Tally()
        self._writing: Writing | None = None
        self._open_bytes = 0
        self._timeline = Timeline()
        self._display = ProgressDisplay(self._tally, live)
        self._interruption = Interruption()
        self._state = job.inside.open_state(job.config.output, next_run_id(job.output))
        self._sets = IdSets(self._state.manifest, self._state.work, job.config.online)
        own = configured_key(job.config, job.inside, job.output, make=True)
        self._key = own.key
        self._audit = AuditLog(job.output, own.key, own.scope)
        self.summary = RunSummary(
            run_id=self._state.run_id,
            fingerprint="",
            bundle=describe_bundle(job.record),
            started=now(),
            key_id=key_id(self._key) if self._key else "",
            resources=asdict(resources),
            max_quarantined=job.config.max_quarantined,
        )
        self._metrics = MetricsFile(job.config.metrics_file, self.summary, self._live)
        self._lease = Lease(job.output, self._state.run_id)
        self._adopt(job.profile)

    def _adopt(self, profile: ProfilePlace | None) -> None:
        """Rank by a profile, which is part of the fingerprint of all rows."""
        job, record = self._job, profile.record if profile else None
        self._profile = profile
        self.summary.profile = (
            {"fingerprint": record.fingerprint, "groups": len(record.groups)} if record else {}
        )
        self.summary.fingerprint = run_fingerprint(
            job.config,
            job.record.fingerprint,
            self._resources.precision,
            record.fingerprint if record else None,
        )
        self._constants = {
            "bundle": job.record.fingerprint,
            "fingerprint": self.summary.fingerprint,
            "run_id": self._state.run_id,
            "threshold": job.config.threshold,
        }

    def execute(self) -> RunSummary:
        """Make all steps. Raises LeaseHeldError if another run works on the output."""
        try:
            with (
                self._interruption, self._lease, self._metrics,
                recorded(self._job, self.summary, self._audit, self._key), self._display,
                self._timed("total"),
            ):  # fmt: skip
                todo = self._list()
                self._screen(todo)
                with self._interruption.held():
                    self._account()
                    self._interruption.let_finish()
        finally:
            self._sets.close()
            self._state.clear()
        return self.summary

    def _list(self) -> Todo:
        """Freeze the listing, and write the list of what is not done."""
        self._display.phase("listing")
        self._state.clear_abandoned()
        ids, left_out = object_ids(self._key), Counter[str]()
        with self._timed("list"):
            objects = in_window(self._job.objects(self._config, left_out), self.too_late)
            self.summary.listed = freeze(objects, ids, self._state.manifest)
            self._sets.refuse_repeated(self._config.manifest)
        self.summary.left_out = dict(left_out)
        with self._timed("subtract"):
            self.summary.orphans_removed = len(sweep_orphans(self._job.output))
            warn_of_old_parts(self._job.output)
            self._load_done()
        to_do, _ = self._sets.measure_open()
        if not self.too_late() and needs_building(self._config, self._profile, self.summary.listed, to_do):
            with self._timed("profile"):
                self._build_profile()
        with self._timed("subtract"):
            self._sets.load("deferred", deferred_objects(self._job.output))
            count, self._open_bytes = self._sets.measure_open()
            self.summary.already_done = self.summary.listed - count
            todo = self._write_todo(count)
            self._state.keep()
            return todo

    def _write_todo(self, count: int) -> Todo:
        each = 1 if self._config.online else group_size(count, self._open_bytes, self._resources.cores)
        little = is_little(self._fitted, count, self._open_bytes)
        on_ray = self._make_executor is not None or not does_without_ray(self._fitted, little)
        many = planned_partitions(self._config.partitions, count, on_ray, self._fitted.cluster)
        self.summary.resources |= {"partitions": many} if many > 1 else {}
        return write_partitions(self._state.crosswalk(0), self._sets.open_objects(), each, many)

    def _build_profile(self) -> None:
        from s2sw.pipeline.run.profile_command import builder_of  # here: it imports torch

        job, key = self._job, self._key
        before = self._profile.record if self._profile else None
        record = before or new_record(job.config, job.record, key, self._resources.precision)
        address = own_address(job.config, job.record, job.inside, key)
        builder = builder_of(job, self._resources, key, address, self._building_executor, self._state, self)
        listed = record.model_copy(update={"listed": self.summary.listed})
        built = builder.build(self._state.manifest, listed)
        if built is not None:
            self._adopt(ProfilePlace(address, job.config.storage, built))
            self._load_done()

    @contextlib.contextmanager
    def _building_executor(self, todo: Todo) -> Iterator[Executor]:
        """Enter what builds a profile: processes of this machine, or the cluster."""
        executor = self._executor(todo, small=True)
        with contextlib.ExitStack() as stack:
            with self._interruption.held():
                stack.enter_context(executor)
            yield executor

    def _screen(self, todo: Todo) -> None:
        """Give each object of the list an outcome, and commit."""
        self._tally.total = todo.objects
        if not todo.objects or self.too_late():
            return
        executor = self._executor(todo)
        self.summary.resources["executor"] = executor.name
        self._display.phase(f"starting {'Ray and ' if executor.name == 'ray' else ''}the detector")
        try:
            with contextlib.ExitStack() as stack:
                with self._interruption.held():  # a Ray that is half started can hang
                    stack.enter_context(executor)
                stack.enter_context(self._timed("screen"))
                self._pass_all(executor, todo)
        except KeyboardInterrupt:
            self.summary.interrupted = True

    def _pass_all(self, executor: Executor, todo: Todo) -> None:
        self._display.start_clock()
        self._timeline.start()
        parts = RunParts(
            self._job, self._state, self._key, self._lease, self._tally, self._constants, self.too_late,
            self._ticked, self.say, self._interruption.held, self._start_writer,
        )  # fmt: skip
        self._writing = writing = parts.writing(todo, functools.partial(self._results, executor))
        try:
            writing.run()
        finally:
            with self._interruption.held():
                writing.close()
            self.summary.partitions = writing.facts()
            self._add_seconds(self._tally.stage_seconds)

    def _executor(self, todo: Todo, small: bool = False) -> Executor:
        if self._make_executor is not None:
            return self._make_executor(todo)
        few = small or is_little(self._fitted, todo.objects, self._open_bytes)
        return executor_for(self._job, self._fitted, self._resources, todo, few)

    def _results(self, executor: Executor, todo: Todo, number: int, lost: LostGroup) -> Iterator[pa.Table]:
        groups = self._profile.record.settings if self._profile else None
        decode = decode_stage(self._job, todo, groups, self._key)
        detect = detect_settings(self._job, self._resources, self._profile)
        return executor.run_pass(decode, detect, number, lost)

    def _live(self) -> Live:
        return Live(self._tally, *of.uncommitted, of.facts()) if (of := self._writing) else Live(self._tally)

    def _ticked(self) -> None:
        """Show where the run stands."""
        self._display.update(self._writing.facts if self._writing else list)
        self._metrics.update()
        self._timeline.add(self._tally.objects, self._tally.slices)

    def say(self, text: str) -> None:
        """Show what the run does now."""
        self._display.phase(text)

    def _account(self) -> None:
        """Compare what was listed with what is committed, by the ids in the files themselves."""
        self._load_done()
        account(self.summary, self._job.output, self._sets, self._tally, self.too_late())
        self.summary.timeline = self._timeline.points

    def _load_done(self) -> None:
        fingerprint, run_id = self.summary.fingerprint, self.summary.run_id
        self._sets.load("done", done_objects(self._job.output, fingerprint, run_id, self._config.force))

    def too_late(self) -> bool:
        """Tell whether the time window is over."""
        return self._job.deadline is not None and time.time() >= self._job.deadline

    @contextlib.contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.summary.seconds[phase] = round(time.monotonic() - started, 3)

    def _add_seconds(self, seconds: dict[str, float]) -> None:
        total = self.summary.stage_seconds
        for stage, value in seconds.items():
            total[stage] = round(total.get(stage, 0.0) + value, 3)
