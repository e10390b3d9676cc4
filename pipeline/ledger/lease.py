"""One run at a time in an output: a lease that a crash does not leave behind for ever.

The lease is the file ``runs/lease-N``. Only one process can create the next N, on a file system as on S3; the
highest N counts. Its holder renews it; who finds it expired, or its process dead, creates N + 1.

Writers of partitions hold leases ``runs/lease.pPPP-N`` under that of their run. Who takes the output waits
for them: a writer may outlive its run for a moment. A writer looks for its run's lease after it has its own,
a run for writers after it has its own, so that one of two that start at once sees the other.
"""

import contextlib
import json
import logging
import math
import re
import secrets
import threading
import time
from contextvars import copy_context
from dataclasses import dataclass
from types import TracebackType

from typing_extensions import override

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.process_mark import is_dead, process_mark
from s2sw.schemas.errors import FailedError
from s2sw.schemas.layout import LEASE_PREFIX, RUNS_FOLDER, WRITER_LEASES, writer_leases
from s2sw.schemas.whole_files import TEMPORARY

log = logging.getLogger(__name__)

SECONDS = 120.0
RENEW_SECONDS = 30.0
PATIENCE = 15.0
"""Seconds that the processes of a killed run get to end, where its lease is free already."""
LOOK_SECONDS = 0.1
CLOCK_SECONDS = 5.0
"""A clock that differs less from that of the storage, which may tell whole seconds only, agrees with it."""
LONGEST_SECONDS = 86_400.0
"""More than the clocks of two machines differ: whoever is to wait for longer is told which file to remove."""
_NUMBER = re.compile(r"[0-9]{6,9}")
"""Of a lease, behind its prefix."""
_WRITER = re.compile(re.escape(WRITER_LEASES) + r"p[0-9]{3,6}-")


class LeaseHeldError(FailedError):
    """Another run works on this output."""


class LeaseLostError(FailedError):
    """This run was silent for so long that another took its place; it must not write any more."""


@dataclass(frozen=True)
class _Holder:
    """What a lease says, checked: whoever may write to an output may write one."""

    run_id: str
    host: str
    pid: int
    expires: float
    process: dict[str, str | int]

    @classmethod
    def parse(cls, data: bytes) -> "_Holder":
        """Raises ValueError, LookupError, TypeError or RecursionError for what no run writes."""
        content = json.loads(data)
        run_id, process, expires = content["run_id"], content["process"], content["expires"]
        host, pid = process["host"], process["pid"]
        texts = all(isinstance(one, str) and one.isprintable() and len(one) <= 255 for one in (run_id, host))
        number = type(expires) in (int, float) and math.isfinite(expires)
        if not (texts and number and isinstance(process, dict) and type(pid) is int):
            raise ValueError
        return cls(run_id, host, pid, float(expires), process)


class Lease:
    """A context manager that holds the output. ``check`` before every commit."""

    _prefix = LEASE_PREFIX

    def __init__(self, output: OutputFolder, run_id: str) -> None:
        self._output = output
        self._run_id = run_id
        self.name = ""
        self._valid_until = 0.0
        self._ahead: float | None = None
        self._released = threading.Event()
        here = copy_context()  # what it warns of belongs to whoever holds the lease
        self._renewer = threading.Thread(target=here.run, args=(self._renew,), name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        """Raises LeaseHeldError, naming the holder."""
        held = self._leases()
        if held:
            self._refuse_if_alive(held[-1])
        number = int(held[-1].rpartition("-")[2]) + 1 if held else 0
        self.name = f"{self._prefix}{number:06}"
        if not _is_lease(self.name):
            raise LeaseHeldError(f"{held[-1]} has the last number: remove it if no run works on this output")
        if not self._output.create(self.name, self._document(SECONDS)):
            raise LeaseHeldError("another run has just started on this output")
        try:
            if self._leases()[-1:] != [self.name]:  # the listing above was older than another run's start
                raise LeaseHeldError("another run has just started on this output")
            self._look_around()
        except BaseException:
            self._output.delete(self.name)
            raise
        self._valid_until = time.monotonic() + SECONDS
        for name in held:
            self._output.delete(name)
        self._renewer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._renewer.join()
        self._output.delete(self.name)

    def check(self) -> None:
        """Raise LeaseLostError unless this run certainly still holds the output."""
        if time.monotonic() >= self._valid_until:
            raise LeaseLostError("the storage did not answer for so long that another run may have started")

    def _look_around(self) -> None:
        """Wait until no writer of an earlier run can commit any more. Raises LeaseHeldError."""
        for name in self._names(WRITER_LEASES):
            self._await_end(name)
            self._output.delete(name)

    def _await_end(self, name: str) -> None:
        """Wait for the end of a process that was killed just now. Raises LeaseHeldError if it goes on."""
        patience = time.monotonic() + PATIENCE
        while True:
            try:
                return self._refuse_if_alive(name)
            except LeaseHeldError:
                if time.monotonic() >= patience:
                    raise
            time.sleep(LOOK_SECONDS)

    def _leases(self) -> list[str]:
        return self._names(self._prefix)

    def _names(self, prefix: str) -> list[str]:
        """Return the leases whose names begin so, by their numbers; other names are of no run."""
        found = (name for name in self._output.names(RUNS_FOLDER) if name.startswith(prefix))
        return sorted(filter(_is_lease, found), key=lambda name: (len(name), name))

    def _refuse_if_alive(self, name: str) -> None:
        try:
            holder = _Holder.parse(self._output.read(name))
        except FileNotFoundError:  # released in between
            return
        except (ValueError, LookupError, TypeError, RecursionError):
            # it is written in one step: no run that is at work has one like this
            log.warning("%s", f"{name} is damaged: its run is taken as ended")
            return
        left = holder.expires - self._now()
        if left > 0 and not is_dead(holder.process):
            wait = f"wait {left:.0f} s" if left <= LONGEST_SECONDS else f"remove {name}"
            raise LeaseHeldError(
                f"run {holder.run_id} on host {holder.host} (pid {holder.pid}) is working on this output; "
                f"if it is gone, {wait}"
            )

    def _now(self) -> float:
        """Return the time by the clock of the storage, so that no machine's clock decides who holds what."""
        if self._ahead is None:
            self._ahead = self._measured()
        return time.time() - self._ahead

    def _measured(self) -> float:
        """Return by how many seconds this machine's clock is ahead, by a file just written."""
        name = f"{RUNS_FOLDER}/{TEMPORARY}clock-{secrets.token_hex(8)}"
        before = time.time()
        try:
            self._output.create(name, b"")
            after, written = time.time(), self._output.modified(name)
        finally:
            self._output.delete(name)
        ahead = before - written if written < before else min(0.0, after - written)
        if abs(ahead) < CLOCK_SECONDS:
            return 0.0
        log.warning("%s", f"this machine's clock is {ahead:.0f} s off that of the output")
        return ahead

    def _document(self, seconds: float) -> bytes:
        content = {"run_id": self._run_id, "process": process_mark(), "expires": self._now() + seconds}
        return json.dumps(content).encode()

    def _renew(self) -> None:
        while not self._released.wait(RENEW_SECONDS):
            asked = time.monotonic()
            # everything: a lease that cannot be renewed runs out by itself, and check() says so
            with contextlib.suppress(Exception):
                if self._leases()[-1:] != [self.name]:
                    self._valid_until = 0.0
                    return
                self._output.write(self.name, self._document(SECONDS))
                self._valid_until = asked + SECONDS


class WriterLease(Lease):
    """The lease of the one process that writes the parts of a partition, under the lease of its run."""

    def __init__(self, output: OutputFolder, run_id: str, partition: int, run_lease: str) -> None:
        """run_lease: the name of the run's."""
        super().__init__(output, run_id)
        self._prefix = writer_leases(partition)
        self._run_lease = run_lease

    @override
    def __enter__(self) -> "WriterLease":
        for name in self._leases()[-1:]:  # of a writer that was lost just now
            self._await_end(name)
        super().__enter__()
        return self

    @override
    def _look_around(self) -> None:
        if self._names(LEASE_PREFIX)[-1:] != [self._run_lease]:
            raise LeaseLostError("the run that this writer was started for does not hold the output any more")


def _is_lease(name: str) -> bool:
    """Tell whether a run may give a lease this name, which begins as one."""
    first, dash, number = name.rpartition("-")
    known = f"{first}{dash}" == LEASE_PREFIX or _WRITER.fullmatch(f"{first}{dash}")
    return bool(known and _NUMBER.fullmatch(number) and f"{int(number):06}" == number)
