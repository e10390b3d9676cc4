"""A run that lost its lease commits nothing more; of two that start at once, one goes on."""

import json
import threading
from pathlib import Path

import pytest
from typing_extensions import override

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger import lease as leases
from s2sw.pipeline.ledger.lease import Lease, LeaseHeldError, LeaseLostError
from s2sw.pipeline.ledger.process_mark import is_dead, process_mark
from s2sw.pipeline.ledger.writer import Writer
from s2sw.schemas.config import PartSettings
from tests.robustness.processes import until
from tests.support.rows import screened, stored

CONSTANTS = {"bundle": "b", "fingerprint": "f", "run_id": "run", "threshold": 0.5}


def test_after_a_takeover_nothing_is_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.01)
    output = LocalOutput(tmp_path)
    with Lease(output, "first") as lease:
        writer = Writer(output, PartSettings(), CONSTANTS, keep_uri=False, before_commit=lease.check)
        writer.add(screened(0, 0.5), "id-0", stored(0))
        output.create("runs/lease-000001", b"{}")
        until(lambda: not _holds(lease), "the loss of the lease", seconds=30)
        with pytest.raises(LeaseLostError):
            writer.commit()
    assert output.names("slices") == output.names("objects") == []
    assert output.names("runs") == ["runs/lease-000001"], "the new holder keeps its own"


def _holds(lease: Lease) -> bool:
    try:
        lease.check()
    except LeaseLostError:
        return False
    return True


def test_a_lease_that_is_lost_while_the_slices_are_written_leaves_no_objects(tmp_path: Path) -> None:
    checks = iter([None, LeaseLostError("lost")])

    def check() -> None:
        if (error := next(checks)) is not None:
            raise error

    output = LocalOutput(tmp_path)
    writer = Writer(output, PartSettings(), CONSTANTS, keep_uri=False, before_commit=check)
    writer.add(screened(0, 0.5), "id-0", stored(0))
    with pytest.raises(LeaseLostError):
        writer.commit()
    assert output.names("objects") == []


def test_a_process_of_another_container_is_not_taken_for_dead() -> None:
    elsewhere = {**process_mark(), "namespace": "pid:[1]", "start": "1"}
    assert not is_dead(elsewhere), "its pid means nothing here"
    assert is_dead({**elsewhere, "boot": "an earlier boot"})


class SlowListing(LocalOutput):
    """A folder whose first listing is answered late: it is older than what others have done since."""

    late: list[str] | None = None

    @override
    def names(self, folder: str) -> list[str]:
        if self.late is None:
            return super().names(folder)
        late, self.late = self.late, None
        return late


def test_a_run_that_looked_before_two_others_started_steps_back(tmp_path: Path) -> None:
    output = SlowListing(tmp_path)
    with Lease(LocalOutput(tmp_path), "second"):  # as number 0; its predecessor is gone
        (tmp_path / "runs/lease-000000").rename(tmp_path / "runs/lease-000001")
        output.late = []
        with pytest.raises(LeaseHeldError):
            Lease(output, "first").__enter__()
        assert LocalOutput(tmp_path).names("runs") == ["runs/lease-000001"]


def test_of_many_that_start_at_once_one_goes_on(tmp_path: Path) -> None:
    dead = {"run_id": "dead", "process": {"host": "nowhere", "pid": 1, "start": "1"}, "expires": 0}
    LocalOutput(tmp_path).write("runs/lease-000003", json.dumps(dead).encode())
    start, end = threading.Barrier(8), threading.Barrier(8)
    won = []

    def contend(name: str) -> None:
        lease = Lease(LocalOutput(tmp_path), name)
        start.wait(300)
        try:
            lease.__enter__()
            won.append(name)
        except LeaseHeldError:
            lease = None
        end.wait(300)
        if lease is not None:
            lease.__exit__(None, None, None)

    threads = [threading.Thread(target=contend, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert LocalOutput(tmp_path).names("runs") == []
