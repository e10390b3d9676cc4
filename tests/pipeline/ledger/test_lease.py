"""One run at a time in an output, and a lease that dies with its process."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.opening import open_output
from s2sw.pipeline.ledger.lease import Lease, LeaseHeldError, LeaseLostError, WriterLease
from s2sw.pipeline.ledger.process_mark import is_dead, process_mark
from s2sw.schemas.storage import StorageSettings


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.integration)])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> OutputFolder:
    if request.param == "local":
        return open_output(str(tmp_path / "results"), StorageSettings())
    return open_output(f"s3://{request.getfixturevalue('s3').bucket()}/results", StorageSettings())


def hold(output: OutputFolder, mark: dict[str, str | int], seconds: float) -> None:
    content = {"run_id": "another", "process": mark, "expires": time.time() + seconds}
    output.write("runs/lease-000007", json.dumps(content).encode())


def dead_process() -> dict[str, str | int]:
    """Return the mark of a process that has ended since."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = process_mark(process.pid)
    process.communicate(b"\n")
    return mark


def test_a_second_run_is_refused_and_the_holder_named(output: OutputFolder) -> None:
    with Lease(output, "first"):
        with pytest.raises(LeaseHeldError, match=r"run first on host .* is working on this output"):
            Lease(output, "second").__enter__()
        assert output.names("runs") == ["runs/lease-000000"]
    with Lease(output, "third") as lease:
        lease.check()


def test_a_lease_leaves_nothing_behind(output: OutputFolder) -> None:
    with Lease(output, "first"):
        pass
    assert output.names("runs") == []


def test_the_lease_of_a_dead_process_is_taken_over(output: OutputFolder) -> None:
    hold(output, dead_process(), seconds=3600)
    with Lease(output, "next"):
        assert output.names("runs") == ["runs/lease-000008"]


def test_a_lease_of_another_host_counts_until_it_expires(output: OutputFolder) -> None:
    elsewhere = {**process_mark(), "host": "another-host"}
    hold(output, elsewhere, seconds=3600)
    with pytest.raises(LeaseHeldError, match="another-host"):
        Lease(output, "next").__enter__()
    hold(output, elsewhere, seconds=-1)
    with Lease(output, "next"):
        assert output.names("runs") == ["runs/lease-000008"]


@pytest.mark.parametrize("minutes", [-5, 5])
def test_clocks_that_differ_decide_nothing(
    output: OutputFolder, monkeypatch: pytest.MonkeyPatch, minutes: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The holder's is right, and that of whoever looks is ahead or behind by minutes."""
    clock = time.time
    elsewhere = {**process_mark(), "host": "another-host"}
    hold(output, elsewhere, seconds=60)
    monkeypatch.setattr("s2sw.pipeline.ledger.lease.time.time", lambda: clock() + 60 * minutes)
    with pytest.raises(LeaseHeldError, match=r"another-host.*if it is gone, wait \d\d s"):
        Lease(output, "next").__enter__()
    monkeypatch.undo()
    hold(output, elsewhere, seconds=-30)
    monkeypatch.setattr("s2sw.pipeline.ledger.lease.time.time", lambda: clock() + 60 * minutes)
    with Lease(output, "next"):
        expires = json.loads(output.read("runs/lease-000008"))["expires"]
        assert 30 < expires - clock() < 180, "by the storage's clock"
        assert output.names("runs") == ["runs/lease-000008"]
    assert re.search(r"this machine's clock is -?\d{3} s off that of the output", caplog.text)


def test_living_and_dead_processes_are_told_apart() -> None:
    assert not is_dead(process_mark())
    assert is_dead(dead_process())
    assert is_dead({**process_mark(), "boot": "an earlier boot"})
    assert is_dead({**process_mark(), "start": "1"}), "the number was given to another process since"
    assert not is_dead({**dead_process(), "host": "another-host"}), "nobody can know"


def hold_partition(output: OutputFolder, mark: dict[str, str | int], seconds: float = 3600) -> None:
    content = {"run_id": "another", "process": mark, "expires": time.time() + seconds}
    output.write("runs/lease.p003-000004", json.dumps(content).encode())


def test_a_run_waits_for_the_writers_of_one_that_was_killed(
    output: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s2sw.pipeline.ledger.lease.PATIENCE", 0.0)
    hold_partition(output, process_mark())
    with pytest.raises(LeaseHeldError, match=r"run another on host .* is working on this output"):
        Lease(output, "next").__enter__()
    assert output.names("runs") == ["runs/lease.p003-000004"]
    hold_partition(output, dead_process())
    with Lease(output, "next"):
        assert output.names("runs") == ["runs/lease-000000"]


def test_a_writer_is_the_only_one_of_its_partition(
    output: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s2sw.pipeline.ledger.lease.PATIENCE", 0.0)
    with Lease(output, "run") as run:
        with WriterLease(output, "run", 3, run.name) as writer, WriterLease(output, "run", 4, run.name):
            assert output.names("runs") == [run.name, "runs/lease.p003-000000", "runs/lease.p004-000000"]
            with pytest.raises(LeaseHeldError):
                WriterLease(output, "run", 3, run.name).__enter__()
            writer.check()
        assert output.names("runs") == [run.name]
        hold_partition(output, dead_process())
        with WriterLease(output, "run", 3, run.name):
            assert output.names("runs") == [run.name, "runs/lease.p003-000005"]


def test_a_writer_of_a_run_that_was_taken_over_does_not_start(output: OutputFolder) -> None:
    with Lease(output, "next"), pytest.raises(LeaseLostError):
        WriterLease(output, "earlier", 3, "runs/lease-000007").__enter__()
    assert output.names("runs") == []


def test_a_writer_whose_lease_was_taken_writes_no_more(
    output: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was suspended for as long as its lease lasts, and finds that another one has it."""
    monkeypatch.setattr("s2sw.pipeline.ledger.lease.SECONDS", 0.0)
    with (
        Lease(output, "run") as run, WriterLease(output, "run", 3, run.name) as first,
        WriterLease(output, "run", 3, run.name), pytest.raises(LeaseLostError),
    ):  # fmt: skip
        first.check()
