"""``s2sw submit`` and ``s2sw jobs`` against a job server of the tests' own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from s2sw.jobs.cli import app
from s2sw.jobs.configuration import build_config
from s2sw.pipeline.privacy.ids import KEY_ENV
from s2sw.pipeline.run import job_server
from s2sw.pipeline.run.job_server import LARGEST_JOB, entrypoint, submission_id
from s2sw.pipeline.run.ray_token import token_read_anew
from s2sw.schemas.errors import UserError
from tests.support.fake_head import FakeHead, only_named_heads, running

NIGHT = "2026-11-28"


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHead]:
    only_named_heads(monkeypatch)
    monkeypatch.setattr(job_server, "POLL_SECONDS", 0.01)
    with running(FakeHead()) as found:
        yield found


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "nightly.yaml"
    path.write_text("# for Mr Miller's ward\nsource: s3://archive/\noutput: s3://results/\nuntil: 22:30\n")
    return path


def s2sw(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def submit(job: Path, head: FakeHead, *more: str) -> Result:
    return s2sw("submit", job, "--address", head.address, "--night", NIGHT, *more)


def test_the_job_file_alone_is_sent(head: FakeHead, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, "5ec2e7" * 8)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "5ec2e7")
    done = submit(job, head)
    assert done.exit_code == 0, done.output
    (sent,) = head.posted
    command, *lines, end, last = sent["entrypoint"].split("\n")
    assert (command, last) == (f"exec s2sw screen - --address auto <<'{end}'", "")
    assert yaml.load("\n".join(lines), yaml.BaseLoader) == {
        "source": "s3://archive/", "output": "s3://results/", "until": "22:30",
    }  # fmt: skip
    everything = json.dumps(head.requests)
    assert not any(word in everything for word in ("5ec2e7", "Miller", "working_dir", str(job.parent)))
    assert {path for _, path, _ in head.requests if "package" in path} == set()


def test_the_shell_hands_the_configuration_on_as_it_is(tmp_path: Path) -> None:
    """With a program in place of s2sw, as the cluster runs the command."""
    text = "source: s3://a/$HOME/`id`/'\"\\\noutput: s3://ä/\n"
    program = tmp_path / "s2sw"
    program.write_text("#!/bin/sh\ncat\nexit 3\n")
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(entrypoint(text), shell=True, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout.decode()) == (3, text)


def test_screen_reads_a_job_file_from_its_input(job: Path) -> None:
    code = "from s2sw.jobs.configuration import STDIN, build_config; print(build_config(STDIN, {}).until)"
    done = subprocess.run(
        [sys.executable, "-c", code], input=job.read_bytes(), capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == str(build_config(job, {}).until)


@pytest.mark.parametrize(
    ("end", "code"),
    [(("SUCCEEDED", 0), 0), (("FAILED", 3), 3), (("FAILED", 4), 4), (("FAILED", -9), 1),
     (("FAILED", None), 1), (("STOPPED", None), 3)],
)  # fmt: skip
def test_the_log_is_followed_and_the_exit_code_is_the_jobs(
    head: FakeHead, job: Path, end: tuple[str, int | None], code: int
) -> None:
    head.end, head.log = end, head.log + "\x1b]0;owned\x07\n"
    done = submit(job, head)
    assert done.exit_code == code
    assert done.stdout == head.log.replace("\x1b", "\\x1b").replace("\x07", "\\x07")
    assert f"{head.posted[0]['submission_id']}: {end[0].lower()}, exit code {code}" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_log_that_is_cut_off_is_shown_once(head: FakeHead, job: Path) -> None:
    head.torn = 3
    done = submit(job, head)
    assert (done.exit_code, done.stdout) == (0, head.log)


def test_a_second_submission_follows_the_first(head: FakeHead, job: Path) -> None:
    first = submit(job, head, "--detach")
    assert (first.exit_code, first.stdout) == (0, "")
    job.write_text("until: '22:30'\n\noutput: s3://results/\nsource: s3://archive/\n")
    second = submit(job, head)
    assert len(head.posted) == 1
    assert (second.exit_code, second.stdout) == (0, head.log)
    assert "is there already, not started again" in second.stderr
    assert submit(job, head).exit_code == 0, "it has ended"
    assert len(head.posted) == 1


def test_a_submission_that_another_overtook_follows_it(
    head: FakeHead, job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked for the job before either has started it."""
    find, looked = job_server.JobServer._find, []

    def late(server, name):
        found = find(server, name)
        if not looked:
            looked.append(name)
            head.add(name, "RUNNING")
        return found

    monkeypatch.setattr(job_server.JobServer, "_find", late)
    done = submit(job, head)
    assert (done.exit_code, len(head.posted), len(head.jobs)) == (0, 1, 1)
    assert "not started again" in done.stderr


@pytest.mark.parametrize(
    ("end", "more", "jobs"),
    [(("FAILED", 1), (), 2), (("FAILED", None), (), 2), (("FAILED", 3), (), 1), (("FAILED", 2), (), 1),
     (("STOPPED", None), (), 1), (("STOPPED", None), ("--again",), 2), (("SUCCEEDED", 0), ("--again",), 2)],
)  # fmt: skip
def test_what_failed_is_started_anew(
    head: FakeHead, job: Path, end: tuple[str, int | None], more: tuple[str, ...], jobs: int
) -> None:
    head.end = end
    submit(job, head)
    head.end = ("SUCCEEDED", 0)
    submit(job, head, *more)
    names = list(head.jobs)
    assert names == [names[0], f"{names[0]}-2"][:jobs]


def test_another_night_or_another_file_is_another_job(job: Path) -> None:
    text = job.read_text()
    ids = {submission_id(text, date(2026, 11, day)) for day in (28, 29)} | {
        submission_id(text + " ", date(2026, 11, 28))
    }
    assert len(ids) == 3


def test_jobs_lists_follows_and_stops(head: FakeHead, job: Path) -> None:
    submit(job, head, "--detach")
    head.add("raysubmit_other", "RUNNING")
    head.add("s2sw-20261127-x", "FAILED", 3)
    (name, *_) = head.jobs
    lines = s2sw("jobs", "list", "--address", head.address).stdout.splitlines()
    assert [line.split("\t")[::3] for line in lines] == [["s2sw-20261127-x", "3"], [name, "-"]]
    assert "is being stopped" in s2sw("jobs", "stop", name, "--address", head.address).stdout
    assert s2sw("jobs", "follow", name, "--address", head.address).exit_code == 3
    for other in ("s2sw-20261127-y", "raysubmit_other"):
        done = s2sw("jobs", "stop", other, "--address", head.address)
        assert done.exit_code == 2
        assert "no such job" in done.stderr
    assert head.jobs["raysubmit_other"]["status"] == "RUNNING"


def test_the_token_is_rays_own(head: FakeHead, job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head.token = "t" * 64
    done = submit(job, head)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "asks for a token; set RAY_AUTH_MODE=token" in done.stderr
    for token, code, text in (("wrong" * 8, 2, "refuses the token"), (head.token, 0, "submitted")):
        with monkeypatch.context() as patch:
            patch.setenv("RAY_AUTH_MODE", "token")
            patch.setenv("RAY_AUTH_TOKEN", token)
            with token_read_anew():
                done = submit(job, head)
            assert (done.exit_code, text in done.stderr) == (code, True), done.stderr
            assert token not in done.output
    with token_read_anew():
        assert submit(job, head).exit_code == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "No such file"), ("source: s3://a/\n", "'output' is missing"), ("surce: 1\n", "unknown key"),
        ("source: photos\noutput: s3://r/\n", "'source': means another place"),
        ("source: ~/photos\noutput: s3://r/\n", "'source': means another place"),
        ("source: s3://a/\noutput: s3://r/\nstorage: {ca_file: ca.pem}\n", "storage"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_work_is_not_sent(
    head: FakeHead, tmp_path: Path, text: str | None, problem: str
) -> None:
    path = tmp_path / "job.yaml"
    if text is not None:
        path.write_text(text)
    done = submit(path, head)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.output
    assert problem in done.stderr
    assert head.requests == []


def test_a_long_configuration_is_refused() -> None:
    with pytest.raises(UserError, match="64 KiB"):
        entrypoint("x" * (LARGEST_JOB + 1))


@pytest.mark.parametrize("address", ["head:8265", "os://x", "http://user:pass@head:8265", "auto", "http://"])
def test_other_addresses_are_refused(job: Path, address: str) -> None:
    done = s2sw("submit", job, "--address", address)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "http://HEAD:8265 is expected" in done.stderr


def test_a_head_that_is_not_there(head: FakeHead, job: Path) -> None:
    done = s2sw("submit", job, "--address", "http://127.0.0.1:9")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "cannot be reached" in done.stderr
