"""One run at a time in an output, and a lease that dies with its process."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.opening import open_output
from s2sw.pipeline.ledger.lease import Lease, LeaseHeldError
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


def test_living_and_dead_processes_are_told_apart() -> None:
    assert not is_dead(process_mark())
    assert is_dead(dead_process())
    assert is_dead({**process_mark(), "boot": "an earlier boot"})
    assert is_dead({**process_mark(), "start": "1"}), "the number was given to another process since"
    assert not is_dead({**dead_process(), "host": "another-host"}), "nobody can know"
