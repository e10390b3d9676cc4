"""``s2sw submit`` against a real head of Ray, whose job server asks for a token."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.robustness import accounts
from tests.robustness.processes import job_file, until
from tests.support.archives import encoded, texture
from tests.support.commands import COMMAND
from tests.support.ray_head import RayHead, ray_head

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

PICTURES = 3
NIGHT = "2026-11-28"
NOT_YET = "No available agent"


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    with ray_head() as found:
        yield found


def job(folder: Path, bundle: Path, **values: object) -> Path:
    source = folder / "archive"
    source.mkdir(parents=True)
    for number in range(PICTURES):
        (source / f"{number}.png").write_bytes(encoded(texture(50, 60, number), "PNG"))
    return job_file(
        folder, source=str(source), output=str(folder / "results"), mode="open", bundle=str(bundle),
        private_dir=str(folder / "private"), profile="none", cluster={"workers": 1}, **values,
    )  # fmt: skip


def s2sw(head: RayHead, *words: object, token: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in head.environment.items() if token or "RAY_AUTH" not in name}
    command = [str(COMMAND), *map(str, words), "--address", head.jobs]
    return subprocess.run(
        command, env=environment, cwd=head.environment["HOME"], capture_output=True, text=True, check=False
    )


def test_a_night_on_a_cluster(head: RayHead, bundle: Path, tmp_path: Path) -> None:
    sound = job(tmp_path / "sound", bundle)
    submit = ("submit", sound, "--night", NIGHT)
    # the agent that takes jobs comes some time after the head
    until(lambda: NOT_YET not in s2sw(head, *submit, "--detach").stderr, "the agent", seconds=120)

    followed = s2sw(head, *submit)
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert "not started again" in followed.stderr
    assert f"{PICTURES} listed" in followed.stdout
    ends = accounts.ends(str(tmp_path / "sound/results"))
    assert [status for status, _ in ends.values()] == ["screened"] * PICTURES
    runs = accounts.parts(str(tmp_path / "sound/results"), "runs")
    assert len([name for name in runs if name.endswith(".json")]) == 1

    stranger = s2sw(head, *submit, token=False)
    assert (stranger.returncode, stranger.stderr.count("\n")) == (2, 1)
    assert "asks for a token" in stranger.stderr

    strict = job(tmp_path / "strict", bundle, max_quarantined=0)
    (strict.parent / "archive/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = s2sw(head, "submit", strict, "--night", NIGHT)
    assert done.returncode == 4, done.stdout + done.stderr

    listed = [line.split("\t") for line in s2sw(head, "jobs", "list").stdout.splitlines()]
    assert [(status, code) for _, status, _, code in listed][:2] == [("failed", "4"), ("succeeded", "0")]
    again = s2sw(head, "jobs", "follow", listed[0][0])
    assert (again.returncode, again.stdout) == (4, done.stdout)


def test_a_stopped_job_has_committed_what_it_did(head: RayHead, bundle: Path, tmp_path: Path) -> None:
    """What Ray sends is SIGTERM; without the time that a job asks for, SIGKILL would follow soon."""
    one = job(tmp_path, bundle, parts={"seconds": 0.1}, batch_size=1)
    for number in range(PICTURES, 400):
        (tmp_path / f"archive/{number}.png").write_bytes(encoded(texture(50, 60, number), "PNG"))
    until(lambda: NOT_YET not in s2sw(head, "submit", one, "--detach").stderr, "the agent")
    (name, *_) = s2sw(head, "jobs", "list").stdout.split("\t")
    output = str(tmp_path / "results")
    until(lambda: Path(output).is_dir() and accounts.committed(output), "the first part")
    assert "is being stopped" in s2sw(head, "jobs", "stop", name).stdout
    ended = s2sw(head, "jobs", "follow", name)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    run = accounts.last_run(output)
    assert (run["outcome"], run["exit_code"]) == ("interrupted", 3), run
    assert 0 < accounts.committed(output) < 400
