"""One screening run: list, subtract what is done, screen the rest, sweep what is missing, account for all."""

import contextlib
import functools
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pyarrow as pa
import ray

from s2sw.model import load_detector
from s2sw.model.bundles.record import WEIGHTS
from s2sw.model.precision import Precision
from s2sw.pipeline.ledger.audit import STARTED, AuditLog, end_facts, start_facts
from s2sw.pipeline.ledger.done import deferred_objects, done_objects
from s2sw.pipeline.ledger.lease import Lease
from s2sw.pipeline.ledger.parquet import table_bytes
from s2sw.pipeline.ledger.summary import describe_bundle, versions
from s2sw.pipeline.ledger.writer import Writer, sweep_orphans
from s2sw.pipeline.listing.id_sets import IdSets
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.sweeps import sweep_sizes
from s2sw.pipeline.listing.todo import Todo, TodoReader, group_size
from s2sw.pipeline.privacy.ids import key_id, object_ids, uid_ids
from s2sw.pipeline.privacy.private_dir import new_run_id
from s2sw.pipeline.run.graph import run_pass
from s2sw.pipeline.run.interruption import Interruption
from s2sw.pipeline.run.job import Job
from s2sw.pipeline.run.metrics import MetricsFile
from s2sw.pipeline.run.progress import ProgressDisplay, Tally, Timeline
from s2sw.pipeline.run.resources import Resources, plan_resources
from s2sw.pipeline.run.session import check_shared, ray_session, wipe_abandoned
from s2sw.pipeline.stages.collecting import Collector, FinishedObject
from s2sw.pipeline.stages.decoding import DecodeStage
from s2sw.pipeline.stages.detecting import DetectSettings
from s2sw.schemas.config import run_fingerprint
from s2sw.schemas.layout import DEFERRED_FILE, record_name
from s2sw.schemas.outcomes import PASSING_REASONS, Reason, Status
from s2sw.schemas.run_record import RunSummary, record_bytes

MAIN_TASK_RETRIES = 1
IDLE_TABLES = 32  # tables of deferred objects only, after the window, that show that the pipeline is drained


class RunFailedError(Exception):
    """The run cannot go on; what is whole is committed, and the same command continues."""


def screen(job: Job, quiet: bool = False) -> RunSummary:
    """Screen what is not done yet and return the summary, which is also in ``runs/RUN.json``."""
    wipe_abandoned(job.config.cluster)
    with contextlib.ExitStack() as stack:
        if job.config.cluster.address:
            stack.enter_context(ray_session(job.config.cluster, job.config.private))
        size = (job.bundle / WEIGHTS).stat().st_size
        resources = plan_resources(job.config.cluster, job.config.device, size, job.config.precision)
        return ScreeningRun(job, resources, quiet).execute()


class ScreeningRun:
    """A run in its steps. Whatever ends it early, whole objects are committed and a run file says so."""

    def __init__(self, job: Job, resources: Resources, quiet: bool) -> None:
        self._job = job
        self._config = job.config
        self._resources = resources
        self._tally = Tally()
        self._timeline = Timeline()
        self._display = ProgressDisplay(self._tally, quiet)
        self._interruption = Interruption()
        self._state = job.inside.open_state(job.config.output, new_run_id())
        self._sets = IdSets(self._state.manifest, self._state.work)
        self._key = job.inside.make_key() if job.config.private else None
        self._audit = AuditLog(job.output, self._key)
        precision = self._precision()
        self.summary = RunSummary(
            run_id=self._state.run_id,
            fingerprint=run_fingerprint(job.config, job.record.fingerprint, precision),
            bundle=describe_bundle(job.record),
            started=_now(),
            key_id=key_id(self._key) if self._key else "",
            resources=asdict(resources) | {"precision": precision},
            max_quarantined=job.config.max_quarantined,
        )
        self._metrics = MetricsFile(job.config.metrics_file, self.summary, self._tally)
        self._lease = Lease(job.output, self._state.run_id)
        self._writer = Writer(
            job.output,
            job.config.parts,
            {
                "bundle": job.record.fingerprint,
                "fingerprint": self.summary.fingerprint,
                "run_id": self._state.run_id,
                "threshold": job.config.threshold,
            },
            keep_uri=not job.config.private,
            before_commit=self._lease.check,
            uid_ids=uid_ids(self._key),
        )

    def execute(self) -> RunSummary:
        """Make all steps. Raises LeaseHeldError if another run works on the output."""
        try:
            with (
                self._lease, self._metrics, self._recorded(), self._interruption, self._display,
                self._timed("total"),
            ):  # fmt: skip
                todo = self._list()
                self._screen(todo)
                with self._interruption.held():
                    self._account()
        finally:
            self._sets.close()
            self._state.clear()
        return self.summary

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[None]:
        """Leave a run file and an entry in the audit log behind, however the run ends."""
        run_id, output = self.summary.run_id, self._job.output
        bundle, fingerprint = self._job.record.fingerprint, self.summary.fingerprint
        self._audit.append(STARTED, run_id, start_facts(self._config, bundle, fingerprint))
        try:
            yield
            self.summary.outcome = "interrupted" if self.summary.interrupted else "finished"
        except KeyboardInterrupt:  # before anything was taken up
            self.summary.interrupted, self.summary.outcome = True, "interrupted"
            raise
        except BaseException:
            self.summary.outcome = "failed"
            raise
        finally:
            self.summary.finished = _now()
            document = record_bytes(self.summary, self._config, versions())
            output.write(record_name(run_id), document)
            self._audit.append(self.summary.outcome, run_id, end_facts(self.summary, document))

    def _precision(self) -> Precision:
        if self._config.precision != "auto":
            return self._config.precision
        return "bf16" if self._resources.device == "cuda" else "fp32"

    def _list(self) -> Todo:
        """Freeze the listing, and write the list of what is not done."""
        self._display.phase("listing")
        self._state.clear_abandoned()
        ids = object_ids(self._key)
        with self._timed("list"):
            self.summary.listed = freeze(self._job.objects(self._config), ids, self._state.manifest)
        with self._timed("subtract"):
            self.summary.orphans_removed = len(sweep_orphans(self._job.output))
            self._load_done()
            self._sets.load("deferred", deferred_objects(self._job.output))
            count, size = self._sets.measure_open()
            self.summary.already_done = self.summary.listed - count
            each = group_size(count, size, self._resources.cores)
            return Todo.write(self._state.crosswalk(0), self._sets.open_objects(), each)

    def _screen(self, todo: Todo) -> None:
        """Run the main pass, then sweeps over what is missing, and commit the rest."""
        self._tally.total = todo.objects
        if not todo.objects or self._too_late():
            return
        self._display.phase("starting Ray and the detector")
        try:
            with contextlib.ExitStack() as stack:
                with self._interruption.held():  # a Ray that is half started can hang
                    stack.enter_context(self._session())
                stack.enter_context(self._timed("screen"))
                self._passes(todo)
        except KeyboardInterrupt:
            self.summary.interrupted = True
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            raise RunFailedError(f"Ray gave up ({type(cause).__name__})") from error

    def _passes(self, todo: Todo) -> None:
        self._display.start_clock()
        self._timeline.start()
        try:
            missing = self._pass(todo, 0)
            sizes = sweep_sizes(len(missing), todo.group_size)
            for number, size in enumerate(sizes, start=1):
                if not missing or self._too_late():
                    break
                self._display.phase(f"trying {len(missing)} objects again")
                todo = todo.narrowed(missing, self._state.crosswalk(number), size)
                missing = self._pass(todo, number, last=number == len(sizes))
        finally:
            with self._interruption.held():
                self._writer.commit()

    def _pass(self, todo: Todo, number: int, last: bool = False) -> list[int]:
        """Screen a to-do list; return the numbers of objects without an outcome."""
        collector = Collector(todo.objects)
        reader = TodoReader(todo)
        idle = 0
        for table in self.results(todo, number):
            deferred_only = True
            for finished in collector.add(table):
                deferred_only &= finished.status is Status.DEFERRED
                if finished.reason in PASSING_REASONS and not last:
                    collector.put_back(finished.number)
                else:
                    self._finish(replace(finished, attempts=number + 1), reader)
            with self._interruption.held():
                self._writer.commit_if_due()
            self._display.update()
            self._metrics.update()
            self._timeline.add(self._tally.objects, self._tally.slices)
            idle = idle + 1 if deferred_only and self._too_late() else 0
            if idle >= IDLE_TABLES and not collector.has_open:
                break
        self._add_seconds(collector.stage_seconds)
        missing = collector.missing()
        if last and not self._too_late():
            for lost in collector.give_up(missing, Reason.WORKER_CRASHED, attempts=number + 1):
                self._finish(lost, reader)
            return []
        return missing

    def results(self, todo: Todo, number: int) -> Iterator[pa.Table]:
        """Yield what the stages give for one pass (schema DETECTED). Benchmarks measure others than Ray's."""
        config, resources = self._config, self._resources
        side, deadline, private = self._job.record.image_size, self._job.deadline, config.private
        decode = DecodeStage(
            todo, side, config.tiles, config.decode, config.storage, deadline, private, self._job.classes
        )
        detect = DetectSettings(
            load=functools.partial(
                load_detector, self._job.bundle, device=resources.device, precision=self._precision()
            ),
            threshold=config.threshold,
            batch_size=config.batch_size or (32 if resources.device == "cuda" else 8),
            threads=resources.threads,
            deadline=deadline,
            private=private,
        )
        return run_pass(decode, detect, resources, config.cluster, MAIN_TASK_RETRIES if number == 0 else 0)

    def _finish(self, finished: FinishedObject, reader: TodoReader) -> None:
        with self._interruption.held():
            self._tally.add(finished)
            if finished.status is not Status.DEFERRED:
                object_id, stored = reader.row(finished.number)
                self._writer.add(finished, object_id, stored)

    def _account(self) -> None:
        """Compare what was listed with what is committed, by the ids in the files themselves."""
        output, summary = self._job.output, self.summary
        self._load_done()
        left = self._sets.left(summary.run_id).read_all()
        output.write(DEFERRED_FILE, table_bytes(left))
        unfinished = self._tally.total - (self._tally.objects - self._tally.statuses[Status.DEFERRED])
        # a worker's clock may be ahead of this one: what it deferred shows that the window is over
        stopped = self._too_late() or summary.interrupted or bool(self._tally.statuses[Status.DEFERRED])
        summary.missing = len(left) - (unfinished if stopped else 0)
        summary.duplicates = self._sets.duplicates()
        summary.by_status = {status.value: 0 for status in Status} | self._sets.statuses()
        summary.by_status[Status.DEFERRED] = len(left) - summary.missing
        summary.new = {status.value: self._tally.statuses[status] for status in Status}
        summary.new[Status.DEFERRED] = unfinished
        summary.reasons = dict(self._tally.reasons)
        summary.slices, summary.views = self._tally.slices, self._tally.views
        summary.timeline = self._timeline.points

    def _load_done(self) -> None:
        fingerprint, run_id = self.summary.fingerprint, self.summary.run_id
        self._sets.load("done", done_objects(self._job.output, fingerprint, run_id, self._config.force))

    def _session(self) -> contextlib.AbstractContextManager[None]:
        if self._config.cluster.address:  # connected already
            try:
                check_shared([self._job.bundle, self._state.crosswalk(0)])
            except ValueError as error:
                raise RunFailedError(str(error)) from error
            return contextlib.nullcontext()
        return ray_session(self._config.cluster)

    def _too_late(self) -> bool:
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
