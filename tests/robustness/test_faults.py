"""Storage that throttles, cuts, delays, denies and loses: what may pass is screened, the rest quarantined."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from s2sw.schemas.outcomes import Reason, Status
from tests.robustness import accounts
from tests.robustness.fault_proxy import FOREVER, LIST, FaultProxy, Kind
from tests.support.archives import encoded, texture
from tests.support.commands import screen
from tests.support.s3server import S3Server

pytestmark = pytest.mark.integration

SCREENED = (Status.SCREENED.value, None)
TRIES = 3
DEATHS = 4  # of processes that read an object which kills: up to two in the main pass, one in each sweep
ONE_PASS = 2 * TRIES  # answers that use up the tries of the main pass and more
FINE, EACH = 30, 2  # files
MALFORMED = encoded(texture(50, 60, 1), "PNG")[:40] + bytes(4000)


@pytest.fixture
def proxy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """The way to the S3 server for the processes that this test starts."""
    with FaultProxy(s3.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with s3.fresh_clients():
            yield proxy


def fill(s3: S3Server, names: dict[str, bytes]) -> tuple[str, str]:
    """Put files into a new bucket; return source and output."""
    bucket = s3.bucket()
    s3.client().pipe({f"{bucket}/archive/{name}": data for name, data in names.items()})
    return f"s3://{bucket}/archive/", f"s3://{bucket}/results"


def pictures(*names: str) -> dict[str, bytes]:
    return {name: encoded(texture(50, 60, seed), "PNG") for seed, name in enumerate(names)}


def quarantined(reason: Reason) -> tuple[str, str]:
    return Status.QUARANTINED.value, reason.value


PASSING = {
    "throttled": (Kind.THROTTLE, 2),
    "throttled-long": (Kind.THROTTLE, ONE_PASS),
    "broken": (Kind.BREAK, 2),
    "reset": (Kind.RESET, 2),
    "reset-long": (Kind.RESET, ONE_PASS),
    "cut": (Kind.CUT, 2),
    "cut-long": (Kind.CUT, ONE_PASS),
    "delayed": (Kind.DELAY, 1),
    "lost": (Kind.LOSE, 1),
}
STAYING = {
    "overloaded": (Kind.THROTTLE, FOREVER, Reason.THROTTLED),
    "always-cut": (Kind.CUT, FOREVER, Reason.IO_ERROR),
    "always-broken": (Kind.BREAK, FOREVER, Reason.IO_ERROR),
    "denied": (Kind.DENY, FOREVER, Reason.DENIED),
    "vanished": (Kind.VANISH, FOREVER, Reason.NOT_FOUND),
    "changed": (Kind.CHANGE, FOREVER, Reason.CHANGED),
}
SETTINGS = {"tries": TRIES, "read_timeout": 3}


def test_storage_that_fails_in_passing_loses_nothing(
    bundle: Path, s3: S3Server, proxy: FaultProxy, tmp_path: Path
) -> None:
    source, output = fill(s3, pictures("fine", *PASSING, *STAYING))
    faults = {name: proxy.add("GET", f"/{name}", kind, times) for name, (kind, times) in PASSING.items()}
    faults |= {name: proxy.add("GET", f"/{name}", kind, times) for name, (kind, times, _) in STAYING.items()}
    faults |= {
        "lease": proxy.add("PUT", "runs/lease-000000", Kind.LOSE, 1),
        "listing": proxy.add(LIST, "archive/", Kind.THROTTLE, 1),
        "listing reset": proxy.add(LIST, "archive/", Kind.RESET, 1),
        "commit": proxy.add("PUT", "-00000.parquet", Kind.BREAK, 1, below="objects"),
        "commit again": proxy.add("PUT", "-00000.parquet", Kind.RESET, 1, below="objects"),
        "slices": proxy.add("PUT", "-00000.parquet", Kind.CUT, 1),
        "slices again": proxy.add("PUT", "-00000.parquet", Kind.THROTTLE, 1),
        "objects": proxy.add("PUT", "-00000.parquet", Kind.LOSE, 1),
        "run file": proxy.add("PUT", ".json", Kind.THROTTLE, 2),
    }
    run = screen(tmp_path, source, output, bundle=str(bundle), mode="open", storage=SETTINGS)
    assert run.code == 0, run.stderr
    expected = dict.fromkeys(("fine", *PASSING), SCREENED)
    expected |= {name: quarantined(reason) for name, (_, _, reason) in STAYING.items()}
    assert accounts.ends(output) == expected
    accounts.assert_each_once(output, {name: int(end == SCREENED) for name, end in expected.items()})
    assert [name for name, fault in faults.items() if fault.hits < min(fault.times, 1)] == []
    assert faults["denied"].hits == faults["vanished"].hits == faults["changed"].hits == 1, "no second try"
    assert faults["overloaded"].hits == 3 * TRIES, "bounded"
    document = accounts.last_run(output)
    assert (document["missing"], document["duplicates"], document["outcome"]) == (0, 0, "finished")

    proxy.heal()
    again = screen(tmp_path, source, output, bundle=str(bundle), mode="open", storage=SETTINGS)
    assert again.code == 0, again.stderr
    assert {accounts.file_name(row): row["status"] for row in again.objects()} == dict.fromkeys(
        expected, "screened"
    )
    document = accounts.last_run(output)
    assert document["already_done"] == 1 + len(PASSING)
    assert (document["missing"], document["duplicates"]) == (0, 0)


@pytest.mark.parametrize("kind", [Kind.BREAK, Kind.RESET, Kind.EXPIRE])
def test_an_outage_ends_the_run_and_the_same_command_continues(
    bundle: Path, s3: S3Server, proxy: FaultProxy, tmp_path: Path, kind: Kind
) -> None:
    """From the second commit on nothing is answered, or the credentials have expired."""
    names = [f"{number:02}.png" for number in range(FINE)]
    source, output = fill(s3, pictures(*names))
    fault = proxy.add("PUT", "-00001.parquet", kind, below="objects", lasts=True)
    job = {"bundle": str(bundle), "mode": "open", "storage": SETTINGS, "parts": {"rows": 10}}
    run = screen(tmp_path, source, output, here=False, **job)
    assert fault.hits == 1
    assert run.code == 1, run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.rstrip().splitlines()[-1].startswith("s2sw: "), run.stderr
    proxy.heal()
    before = accounts.committed(output)
    assert 0 < before < FINE, "what was committed stays"
    again = screen(tmp_path, source, output, here=False, **job)
    assert again.code == 0, again.stderr
    accounts.assert_each_once(output, dict.fromkeys(names, 1))
    assert set(accounts.ends(output).values()) == {SCREENED}
    assert accounts.last_run(output)["already_done"] == before


def test_poison_ends_in_quarantine_and_the_rest_is_screened(
    bundle: Path, s3: S3Server, proxy: FaultProxy, tmp_path: Path
) -> None:
    fine = [f"{number:02}.png" for number in range(FINE)]
    files = pictures(*fine, *(f"{kind}-{n}" for kind in ("kills", "denied", "vanished") for n in range(EACH)))
    files |= {f"malformed-{n}": MALFORMED for n in range(EACH)}
    source, output = fill(s3, files)
    deadly = [proxy.add("GET", f"kills-{n}", Kind.KILL) for n in range(EACH)]
    for n in range(EACH):
        proxy.add("GET", f"denied-{n}", Kind.DENY)
        proxy.add("GET", f"vanished-{n}", Kind.VANISH)
    run = screen(tmp_path, source, output, bundle=str(bundle), mode="open", storage=SETTINGS)
    assert run.code == 0, run.stderr
    reasons = {
        "kills": Reason.WORKER_CRASHED,
        "denied": Reason.DENIED,
        "vanished": Reason.NOT_FOUND,
        "malformed": Reason.MALFORMED,
    }
    poison = {f"{kind}-{n}": quarantined(reason) for kind, reason in reasons.items() for n in range(EACH)}
    assert accounts.ends(output) == dict.fromkeys(fine, SCREENED) | poison
    assert all(2 <= fault.hits <= DEATHS for fault in deadly), "bounded"
    document = accounts.last_run(output)
    assert document["by_status"] == {"screened": FINE, "no_pixels": 0, "quarantined": 4 * EACH, "deferred": 0}
    assert (document["listed"], document["missing"], document["duplicates"]) == (FINE + 4 * EACH, 0, 0)
