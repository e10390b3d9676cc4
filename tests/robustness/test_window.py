"""A run that has to stop early, by the clock or by a signal, and the runs that follow it."""

import signal
import time
from pathlib import Path

import pytest

from tests.robustness import accounts
from tests.robustness.conftest import Archive, Undisturbed
from tests.robustness.processes import ACTOR, Screening, frozen, job_file, screening, until
from tests.support.commands import s2sw_here

pytestmark = pytest.mark.integration

SLACK = 40  # objects that may overtake others: those of a few decode tasks and batches


@pytest.fixture
def prompt_job(job: Path) -> Path:
    """Write the job once more, with a commit every few slices. Its one detector can be held."""
    return job_file(job.parent, job, parts={"seconds": 0.5, "rows": 4})


def seconds_to_start(undisturbed: Undisturbed) -> float:
    """Return how long an undisturbed run takes until its first result."""
    run = undisturbed.run
    return float(run["seconds"]["total"] - run["seconds"]["screen"] + run["timeline"][0][0])


def screen_until(job: Path, seconds: int, output: str) -> list[str]:
    """Screen in a window and return what is done. Its end comes in the middle of the work on any machine:
    once something is committed, the detector is held until the window is over.
    """
    closes = time.time() + seconds + 1
    with screening(job, "--until", f"{seconds}s") as run:
        until(lambda: not run.alive or accounts.committed(output), "something done or the end")
        with frozen(run.find(ACTOR)):
            until(lambda: time.time() > closes, "the end of the window")
        assert run.wait() == 3, run.stderr
    return done(output)


def done(output: str) -> list[str]:
    return [accounts.file_name(row) for row in accounts.rows(output, "objects")]


def test_a_window_an_interrupt_and_the_rest(
    prompt_job: Path, archive: Archive, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    job, output = prompt_job, str(tmp_path / "results")
    names = sorted(archive.slices)  # oldest first

    first: list[str] = []
    # Ray takes six times as long as the processes of the undisturbed run; a window in which nothing was done
    # costs a start of Ray
    for share in (10, 20):
        if first := screen_until(job, round(share * seconds_to_start(undisturbed)), output):
            break
    after_window = accounts.last_run(output)
    assert 0 < len(first) < len(names), "the window was meant to end in the middle"
    assert after_window["by_status"]["deferred"] == len(names) - len(first)
    assert (after_window["outcome"], after_window["missing"]) == ("finished", 0)
    newest = names[-len(first) - SLACK :]
    assert set(first) <= set(newest), "the newest objects come first"

    with screening(job) as run:
        check_that_a_second_run_is_refused(run, job, output)
        until(lambda: not run.alive or accounts.committed(output) > len(first), "more objects")
        with frozen(run.find(ACTOR)):  # what is left cannot be done before the signal is there
            run.process.send_signal(signal.SIGTERM)
        check_the_end(run)
    second = done(output)
    assert len(first) < len(second) < len(names), "the signal was meant to come in the middle"
    assert accounts.last_run(output)["by_status"]["deferred"] == len(names) - len(second)
    accounts.assert_each_once(output, {name: archive.slices[name] for name in second})

    rest = s2sw_here("screen", job_file(tmp_path, job, cluster={"workers": 1}), cwd=tmp_path)
    assert rest.returncode == 0, rest.stderr
    accounts.assert_each_once(output, archive.slices)
    assert accounts.scores(output) == pytest.approx(undisturbed.scores, abs=1e-6)


def check_that_a_second_run_is_refused(run: Screening, job: Path, output: str) -> None:
    """Stop a run as soon as it has its lease, so that it lives while another one starts."""
    until(lambda: any(name.startswith("lease") for name in accounts.parts(output, "runs")), "the lease")
    run.process.send_signal(signal.SIGSTOP)
    refused = s2sw_here("screen", job, cwd=job.parent)
    run.process.send_signal(signal.SIGCONT)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert f"(pid {run.process.pid}) is working on this output" in line


def check_the_end(run: Screening) -> None:
    assert run.wait() == 3, run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_anything_is_done(job: Path, tmp_path: Path, number: signal.Signals) -> None:
    output = str(tmp_path / "results")
    with screening(job) as run:
        until(lambda: "starting Ray" in run.stderr, "the start of Ray")
        run.process.send_signal(number)
        check_the_end(run)
    assert accounts.parts(output, "objects") == []
    document = accounts.last_run(output)
    assert document["outcome"] == "interrupted"
    assert not [name for name in accounts.parts(output, "runs") if name.startswith("lease")]
