"""Leases planted in an output: none ends a run in a traceback, or keeps later runs away without a way out."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger.lease import Lease, LeaseHeldError
from s2sw.pipeline.ledger.process_mark import process_mark

RUN = "20260101T000000-bbbbbb"
ELSEWHERE = {"host": "elsewhere", "boot": "b", "namespace": "n", "pid": 1, "start": "1"}
LYING: dict[str, Callable[[], bytes]] = {
    "expiry is text": lambda: lease(expires="never"),
    "expiry is no number": lambda: lease(expires=float("nan")),
    "expiry is infinite": lambda: lease(expires=float("inf")),
    "expiry has 5000 digits": lambda: lease().replace(b'"expires": ', b'"expires": ' + b"9" * 5000),
    "process is a list": lambda: lease(process=[]),
    "process is text": lambda: lease(process="1"),
    "process is empty": lambda: lease(process={}),
    "pid is a path": lambda: lease(process=process_mark() | {"pid": "../../etc"}),
    "pid is infinite": lambda: lease(process=process_mark() | {"pid": float("inf")}),
    "a run that a terminal obeys": lambda: lease(run_id="\x1b]0;owned\x07"),
    "a host that fills a screen": lambda: lease(process=ELSEWHERE | {"host": "x" * 100_000}),
    "a deep list": lambda: b"[" * 200_000,
    "a deep object": lambda: b'{"a":' * 200_000,
    "a list": lambda: b"[]",
}
NO_LEASES = (
    "lease-zzz", "lease--5", "lease-\u0663\u0663\u0663\u0663\u0663\u0663", "lease-" + "9" * 200, "lease-5",
    "lease-0000005", "lease.zzz", "lease.p999-999999999999", "lease.p-1-000000", "lease.p999-zzz",
)  # fmt: skip


def lease(**changes: Any) -> bytes:
    document = {"run_id": RUN, "process": ELSEWHERE, "expires": time.time() + 60.0}
    return json.dumps(document | changes).encode()


@pytest.fixture
def output(tmp_path: Any) -> LocalOutput:
    return LocalOutput(tmp_path)


@pytest.mark.parametrize("kind", LYING)
def test_what_no_run_writes_holds_nothing(output: LocalOutput, kind: str) -> None:
    output.write("runs/lease-000004", LYING[kind]())
    with Lease(output, RUN) as held:
        held.check()
        assert output.names("runs") == ["runs/lease-000005"]


def test_names_that_no_run_gives_are_left_alone(output: LocalOutput) -> None:
    for name in NO_LEASES:
        output.write(f"runs/{name}", lease())
    with Lease(output, RUN) as held:
        assert held.name == "runs/lease-000000"
        held.check()
    assert set(output.names("runs")) == {f"runs/{name}" for name in NO_LEASES}


def test_numbers_go_on_beyond_six_digits(output: LocalOutput) -> None:
    output.write("runs/lease-999999", lease(expires=0))
    with Lease(output, RUN) as held:
        assert held.name == "runs/lease-1000000"
        with pytest.raises(LeaseHeldError, match=f"run {RUN} on host"):
            Lease(output, RUN).__enter__()


@pytest.mark.parametrize(
    ("name", "expires"), [("lease-999999999", 0.0), ("lease-000000", 1e300), ("lease-000000", 4e9)]
)
def test_a_lease_without_an_end_is_named(output: LocalOutput, name: str, expires: float) -> None:
    """It is not taken as ended by itself: the clock may be this machine's that is wrong."""
    output.write(f"runs/{name}", lease(expires=expires))
    with pytest.raises(LeaseHeldError, match=rf"(remove runs/|^runs/){name}") as refused:
        Lease(output, RUN).__enter__()
    assert len(str(refused.value)) < 200
