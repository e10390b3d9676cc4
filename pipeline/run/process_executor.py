"""Passes over few objects without Ray: processes that decode, threads that detect, and the same stages.

Starting Ray takes longer than screening a few hundred pictures. What a process that dies had in hand is
missing from the results, as with Ray: sweeps follow.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa
from typing_extensions import override

from s2sw.pipeline.privacy.environment import local_environment
from s2sw.pipeline.privacy.redaction import describe
from s2sw.pipeline.run.decode_process import DecodeProcess, ProcessDiedError
from s2sw.pipeline.run.executor import DecodeStep, Executor, LostGroup, RunFailedError
from s2sw.pipeline.run.resources import Resources
from s2sw.pipeline.run.session_folder import session_folder, temporary_in
from s2sw.pipeline.stages.detect_actor import detect_stage
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.schemas.config import ClusterSettings

TABLES_AHEAD = 2  # decoded, of 16 MB at most each, for each process
PATIENCE = 0.1  # seconds after which a thread that waits looks whether the pass is over

Detect = Callable[[pa.Table], pa.Table]


class ProcessExecutor(Executor):
    """Runs passes in this process and a few that it starts."""

    name = "processes"

    def __init__(self, cluster: ClusterSettings, resources: Resources) -> None:
        self._cluster, self._resources = cluster, resources
        self._stack = contextlib.ExitStack()
        self._detector: tuple[bool, Future[Detect]] | None = None

    def __enter__(self) -> "ProcessExecutor":
        folder = self._stack.enter_context(session_folder(self._cluster))
        self._stack.enter_context(local_environment(temporary_in(folder)))
        self._loader = self._stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="load"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @override
    def run_pass(
        self, decode: DecodeStep, detect: DetectSettings, number: int, lost: LostGroup
    ) -> Iterator[pa.Table]:
        if self._detector is None or self._detector[0] != detect.sampling:
            self._detector = detect.sampling, self._loader.submit(detect_stage, detect)
        resources = self._resources
        # a GPU computes for one caller while another one copies; without one, each thread is an actor
        callers = resources.calls_per_actor if resources.device == "cuda" else resources.actors
        running = _Pass(decode, self._detector[1], detect.batch_size, lost)
        return running.run(resources.decode_tasks or 1, callers)


class _Pass:
    """One pass: threads that talk to a decode process each, threads that detect, and the caller's."""

    def __init__(
        self, decode: DecodeStep, detector: Future[Detect], batch_size: int, lost: LostGroup
    ) -> None:
        self._decode, self._detector, self._batch_size, self._lost = decode, detector, batch_size, lost
        self._groups = iter(range(decode.todo.groups))
        self._detected: queue.Queue[pa.Table | Exception | None] = queue.Queue()
        self._lock, self._taking, self._over = threading.Lock(), threading.Lock(), threading.Event()
        self._wanting = threading.Event()
        """Whether the detector has waited for slices, or no groups are left: see ``_decode_more``."""
        self._pending: list[pa.Table] = []

    def run(self, decoders: int, callers: int) -> Iterator[pa.Table]:
        """Yield results as they come; when the caller leaves, all that was started ends."""
        self._decoding = decoders = min(decoders, self._decode.todo.groups)  # threads that still decode
        self._decoded: queue.Queue[pa.Table | None] = queue.Queue(TABLES_AHEAD * decoders)
        threads = [threading.Thread(target=self._decode_groups)]
        threads += [threading.Thread(target=self._decode_more) for _ in range(decoders - 1)]
        threads += [threading.Thread(target=self._detect_batches) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield from self._results(callers)
        finally:
            self._over.set()
            self._wanting.set()
            for thread in threads:
                thread.join()

    def _results(self, callers: int) -> Iterator[pa.Table]:
        while callers:
            found = self._detected.get()
            if isinstance(found, Exception):
                raise found
            if found is None:
                callers -= 1
            else:
                yield found

    def _decode_more(self) -> None:
        """Decode groups once the detector waits for one process, which most have in time.

        Each takes a core for a second to start, and in a small run the detector has none to spare.
        """
        self._wanting.wait()
        self._decode_groups()

    def _decode_groups(self) -> None:
        """Decode groups until none is left, in a new process where one died."""
        process: DecodeProcess | None = None
        try:
            while (group := self._next_group()) is not None and not self._over.is_set():
                process = process or DecodeProcess(self._decode)
                try:
                    for table in process.decode(group):
                        self._put(table)
                except ProcessDiedError as error:
                    process.close()
                    process = None
                    if not self._over.is_set():
                        self._lost(str(error))
        except Exception as error:  # noqa: BLE001 - ends the pass, in the caller's thread
            self._detected.put(error)
        finally:
            if process:
                process.close()
            self._put(None)

    def _next_group(self) -> int | None:
        with self._lock:
            group = next(self._groups, None)
        if group is None:
            self._wanting.set()
        return group

    def _put(self, table: pa.Table | None) -> None:
        while not self._over.is_set():
            with contextlib.suppress(queue.Full):
                self._decoded.put(table, timeout=PATIENCE)
                return

    def _detect_batches(self) -> None:
        try:
            detect = self._detector.result()
            while (batch := self._take()) is not None:
                self._detected.put(detect(batch))
        except Exception as error:  # noqa: BLE001 - ends the pass, in the caller's thread
            failed = RunFailedError(f"the detector cannot be started: {describe(error)}")
            failed.__cause__ = error
            self._detected.put(failed)
        finally:
            self._detected.put(None)

    def _take(self) -> pa.Table | None:
        """Return the next rows to score: as many as fill a batch, or what there is; None at the end."""
        with self._taking:
            while sum(map(len, self._pending)) < self._batch_size and self._decoding:
                try:
                    table = self._decoded.get(timeout=PATIENCE if not self._pending else 0)
                except queue.Empty:
                    if self._pending:
                        break
                    if self._over.is_set():
                        return None
                    self._wanting.set()
                    continue
                if table is None:
                    self._decoding -= 1
                else:
                    self._pending.append(table)
            if not self._pending:
                return None
            whole = pa.concat_tables(self._pending)
            rest = whole.slice(self._batch_size)
            self._pending = [rest] if len(rest) else []
            return whole.slice(0, self._batch_size)
