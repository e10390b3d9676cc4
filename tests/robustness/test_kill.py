"""Killed at random moments and started again until done: every object once, and nothing left over."""

import os
import random
import sys
import threading
from pathlib import Path

import pytest

from tests.robustness import accounts
from tests.robustness.conftest import Archive, Undisturbed
from tests.robustness.processes import ACTOR, DECODER, WRITER, Screening, job_file, kill, screening, until
from tests.support.commands import RAY
from tests.support.s3server import S3Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

KILLS = int(os.environ.get("S2SW_KILLS", "4"))
"""``S2SW_KILLS=20`` for the long version."""
SEED = int(os.environ.get("S2SW_SEED", "7"))
DRIVER, YOUNG_DRIVER = "driver", "driver just started"
ANY_TIME = {YOUNG_DRIVER: 5.0, DECODER: 0.5}
"""Seconds within which these die."""
BEGINNING = (DECODER, ACTOR)
TURN = (DRIVER, YOUNG_DRIVER, DECODER, ACTOR, DRIVER, DECODER, ACTOR)
WRITERS_TURN = (DRIVER, WRITER)
"""Where there are several writers, in one process: soon after its end the run may be over."""
OFTEN = {"seconds": 0.1}
PARTITIONS = ("3", "2")
"""Of one run and the next."""


def victims(kills: int) -> list[str]:
    """Return who dies, in order; decode workers early in their run, when there is much to decode."""
    return [*BEGINNING, *TURN * (kills // len(TURN) + 1)][:kills]


class Killer:
    """Kills in turn decode workers, actors and drivers.

    A decode worker dies within half a second of being seen, and a young driver within seconds of its start;
    the others as soon as a number of objects is committed, drawn from an equal share of what quick machines
    commit well before their end.
    """

    def __init__(self, objects: int, dying: list[str], output: str) -> None:
        self.random = random.Random(SEED)
        self.output = output
        self.log: list[str] = []
        share = 0.7 * objects / len(dying)
        moments = [int(share * (i + self.random.random())) for i in range(len(dying))]
        self.plan = list(zip(dying, moments, strict=True))

    def attend(self, run: Screening) -> None:
        """Kill parts of a run until its driver is dead, it ends by itself, or nothing is left to kill."""
        while self.plan and run.alive:
            victim, moment = self.plan[0]
            self._await(run, victim, moment)
            if self._strike(run, victim):
                self.log.append(f"{victim} ({accounts.committed(self.output)} objects)")
                del self.plan[0]

    def _await(self, run: Screening, victim: str, objects: int) -> None:
        if victim in (DRIVER, ACTOR, WRITER):
            until(lambda: not run.alive or accounts.committed(self.output) >= objects, f"{objects} objects")
        elif victim == DECODER:
            until(lambda: not run.alive or run.find(DECODER), "a decode worker")
        if victim in ANY_TIME:
            threading.Event().wait(self.random.uniform(0, ANY_TIME[victim]))  # the random moment

    def _strike(self, run: Screening, victim: str) -> bool:
        if victim in (DRIVER, YOUNG_DRIVER):
            alive = run.alive
            run.kill()
            return alive
        until(lambda: not run.alive or any(kill(p) for p in run.find(victim)), victim)
        return run.alive


def finish(job: Path, killer: Killer, partitions: tuple[str, ...]) -> int:
    """Start the command until it is done; return how often that was. partitions: of each run in turn."""
    for number in range(1, len(killer.plan) + 3):
        with screening(job, "--partitions", partitions[number % len(partitions)]) as run:
            killer.attend(run)
            code = run.wait()
        accounts.assert_readable(killer.output)
        if code == 0:
            return number
        assert code == -9, run.stderr
    raise AssertionError("not done")


def undergo(
    job: Path,
    killer: Killer,
    archive: Archive,
    undisturbed: Undisturbed,
    partitions: tuple[str, ...] = ("1",),
) -> None:
    """Run to the end under fire, and compare with the run that nobody disturbed."""
    runs = finish(job, killer, partitions)
    found = accounts.scores(killer.output)
    worst = max(abs(found[key] - undisturbed.scores[key]) for key in found)
    sys.stderr.write(f"\nseed {SEED}: {runs} runs, killed {'; '.join(killer.log)}; scores within {worst:g}\n")
    assert not killer.plan, killer.plan
    accounts.assert_each_once(killer.output, archive.slices)
    assert found == pytest.approx(undisturbed.scores, abs=1e-6)
    assert {status for status, _ in accounts.ends(killer.output).values()} == {"screened"}


def test_killed_on_local_disk(
    job: Path, archive: Archive, undisturbed: Undisturbed, ray_temp: Path, tmp_path: Path
) -> None:
    """With two of each process: while one is gone, the other one works."""
    two = job_file(tmp_path, job, parts=OFTEN, cluster=RAY | {"workers": 2, "temp_dir": str(ray_temp)})
    killer = Killer(len(archive.slices), victims(KILLS), str(tmp_path / "results"))
    undergo(two, killer, archive, undisturbed)
    assert not list(tmp_path.glob("private/*/work-*"))


@pytest.fixture
def s3_job(archive: Archive, job: Path, s3: S3Server, tmp_path: Path) -> tuple[Path, str]:
    bucket = s3.bucket()
    s3.client().put(f"{archive.folder}/", f"{bucket}/archive/", recursive=True)
    source, output = f"s3://{bucket}/archive", f"s3://{bucket}/results"
    return job_file(tmp_path, job, parts=OFTEN, source=source, output=output), output


def test_killed_on_s3_with_several_writers(
    s3_job: tuple[Path, str], archive: Archive, undisturbed: Undisturbed
) -> None:
    job, output = s3_job
    kills = max(2, KILLS // 2)
    dying = [*WRITERS_TURN * (kills // len(WRITERS_TURN) + 1)][:kills]
    undergo(job, Killer(len(archive.slices), dying, output), archive, undisturbed, PARTITIONS)
