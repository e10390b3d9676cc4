"""A head that dies in the middle of a run, with the writers of its partitions, without fault tolerance."""

from pathlib import Path

import pytest

from tests.robustness import accounts
from tests.robustness.conftest import Archive
from tests.robustness.processes import job_file, screening, until
from tests.support.ray_head import RayHead, ray_head

pytestmark = [pytest.mark.integration, pytest.mark.cluster]


def on(head: RayHead, job: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, head.environment[name])
    settings = {"address": head.address, "decode_memory": 200 << 20}
    return job_file(job.parent, job, cluster=settings, partitions=3)


def test_the_run_fails_and_the_same_command_continues(
    job: Path, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = str(tmp_path / "results")
    with ray_head() as head, screening(on(head, job, monkeypatch)) as run:
        until(lambda: not run.alive or accounts.committed(output) > len(archive.slices) // 4, "a quarter")
        assert run.alive, run.stderr
        head.kill()
        code = run.wait()
        assert code == 1, run.stderr
        assert "Traceback" not in run.stderr
    accounts.assert_readable(output)
    before = accounts.committed(output)
    assert 0 < before < len(archive.slices)

    with ray_head() as head, screening(on(head, job, monkeypatch)) as run:
        assert run.wait() == 0, run.stderr
    accounts.assert_each_once(output, archive.slices)
    assert {status for status, _ in accounts.ends(output).values()} == {"screened"}
    assert accounts.last_run(output)["already_done"] == before
