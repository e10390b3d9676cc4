"""A job server that lies: one line and an end, nothing sent to other hosts, no more memory than its bound."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result
from typing_extensions import override

from s2sw.jobs.cli import app
from s2sw.pipeline.run import job_server
from tests.support.fake_head import FakeHead, only_named_heads, running

JOB = "s2sw-x"
OWN = f'"type": "SUBMISSION", "submission_id": "{JOB}", "entrypoint": ""'
DEEP = "[" * 200_000
COMMANDS = (["jobs", "list"], ["jobs", "stop", JOB], ["jobs", "follow", JOB], ["submit"])


def shortened(text: str) -> str:
    """Return a test's id, which is printed and goes into its environment."""
    return text[:20]


@dataclass
class LyingHead(FakeHead):
    """path: ends so where the answer is a lie, of this text and status; sends_to: where redirects lead."""

    path: str = ""
    text: str = ""
    status: int = 200
    sends_to: str = ""

    @override
    async def answer(self, request: web.Request) -> web.StreamResponse:
        honest = await super().answer(request)
        if request.path == "/api/version" != self.path or not (self.path and self.path in request.path):
            return honest
        lie = web.Response(status=self.status, text=self.text, content_type="application/json")
        if self.sends_to:
            lie.headers["Location"] = self.sends_to + request.path
        return lie


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[LyingHead]:
    monkeypatch.setattr(job_server, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(job_server, "LOST_SECONDS", 0.1)
    monkeypatch.setattr(job_server, "ANSWER_BYTES", 1 << 20)
    monkeypatch.setattr(job_server, "ATTEMPTS", 5)
    only_named_heads(monkeypatch)
    with running(LyingHead()) as found:
        found.add(JOB, "FAILED", 1)
        yield found


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "nightly.yaml"
    path.write_text("source: s3://archive/\noutput: s3://results/\n")
    return path


def said(head: FakeHead, job: Path, command: list[str]) -> Result:
    """Run a command; whatever the server answers, it ends in lines that a terminal can show."""
    more = [str(job)] if command == ["submit"] else []
    done = CliRunner().invoke(app, [*command, *more, "--address", head.address])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert not set("\x1b\x07\u202e") & set(done.output)
    assert len(done.output) < 2000
    assert done.exit_code < 256
    return done


@pytest.mark.parametrize(
    "text",
    ["[]", "null", "5", '["x"]', "[null]", "{}", '{"ray_version": 5}', DEEP, '{"ray_version": "\x1b"}'],
    ids=shortened,
)
@pytest.mark.parametrize("path", ["/api/version", "/api/jobs"])
def test_an_answer_of_another_form_is_one_line(head: LyingHead, job: Path, path: str, text: str) -> None:
    head.path, head.text = path, text
    for command in COMMANDS:
        if (path, command, text) != ("/api/jobs", ["jobs", "list"], "[]") and (path, text) != (
            "/api/jobs",
            "{}",
        ):
            assert said(head, job, command).exit_code in (1, 2)


@pytest.mark.parametrize(
    "logs", ['{"logs": 5}', '{"logs": null}', '{"logs": ["a"]}', "[]", DEEP], ids=shortened
)
def test_a_log_that_is_no_text_ends(head: LyingHead, job: Path, logs: str) -> None:
    head.path, head.text = "/logs", logs
    assert "silent for" in said(head, job, ["jobs", "follow", JOB]).stderr


@pytest.mark.parametrize("start", [10**17, -(10**17)])
def test_a_day_that_is_none_is_left_out(head: LyingHead, job: Path, start: int) -> None:
    head.jobs[JOB]["start_time"] = start
    assert said(head, job, ["jobs", "list"]).stdout == f"{JOB}\tfailed\t-\t1\n"


@pytest.mark.parametrize("code", [256, 1 << 40, -256])
def test_no_exit_code_is_taken_for_success(head: LyingHead, job: Path, code: int) -> None:
    """256 is 0 where it arrives."""
    head.jobs[JOB] |= {"driver_exit_code": code, "message": "\x1b" * 100_000}
    assert said(head, job, ["jobs", "follow", JOB]).exit_code == 1


def test_a_job_that_has_always_failed_is_not_counted_for_ever(head: LyingHead, job: Path) -> None:
    head.path, head.text = "/api/jobs/s2sw-", f'{{{OWN}, "status": "FAILED"}}'
    assert "has failed 5 times" in said(head, job, ["submit"]).stderr


@pytest.mark.parametrize("path", ["/api/version", "/api/jobs"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(head: LyingHead, job: Path, path: str, status: int) -> None:
    """307 would send the configuration itself to another host."""
    with running(FakeHead()) as other:
        head.path, head.status, head.sends_to = path, status, other.address
        for command in COMMANDS:
            assert "the server redirects" in said(head, job, command).stderr
        assert other.requests == []


@pytest.mark.parametrize("path", ["/api/version", "/api/jobs"])
def test_no_more_is_read_than_the_bound(head: LyingHead, job: Path, path: str) -> None:
    head.path, head.text = path, '"' + "x" * (3 << 20) + '"'
    for command in COMMANDS:
        assert "its answer has more than 1 MiB" in said(head, job, command).stderr
