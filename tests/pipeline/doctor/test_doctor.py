"""One table of what a run needs: what is wrong is named with a remedy, and decides the exit code."""

import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.pipeline.checks import processor
from s2sw.pipeline.checks.machine import Limits
from s2sw.pipeline.doctor.check import Check, Verdict
from s2sw.pipeline.doctor.machine import machine_checks
from s2sw.pipeline.doctor.places import place_checks
from s2sw.schemas.config import ClusterSettings, ScreenConfig
from tests.support.archives import encoded, texture
from tests.support.s3server import S3Server

TINY = Limits(memory=100 << 20, cores=1, processes=5, files=64, shared_memory=64 << 20)


@pytest.fixture
def job(tmp_path: Path, embedded: Path) -> ScreenConfig:
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/1.png").write_bytes(encoded(texture(20, 20, 1), "PNG"))
    return ScreenConfig(
        source=str(tmp_path / "archive"), output=str(tmp_path / "out"), private_dir=str(tmp_path / "private")
    )


def verdicts(checks: list[Check]) -> dict[str, Verdict]:
    return {check.name: check.verdict for check in checks}


def test_a_sound_job_leaves_nothing_behind(job: ScreenConfig, tmp_path: Path) -> None:
    found = list(place_checks(job))
    assert set(verdicts(found).values()) == {Verdict.OK}, found
    assert set(verdicts(found)) == {"source", "output", "clock", "bundle", "id key"}
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("avx2", "none: detectors run on CPUs, in fp32"),
        ("avx512_vnni", "none: detectors run on CPUs, in fp32; precision: int8 is twice as fast here"),
        ("avx512_vnni avx512_bf16", "none: detectors run on CPUs, in bf16"),
    ],
)
def test_it_says_what_detectors_compute_in(
    flags: str, found: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: fpu {flags}\n")
    monkeypatch.setattr(processor, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("s2sw.pipeline.doctor.machine.machine_gpus", lambda: 0)
    checks = {check.name: check.found for check in machine_checks(ClusterSettings(), str(tmp_path), 1)}
    assert checks["GPU"] == found


def test_what_is_wrong_has_a_remedy(job: ScreenConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "private").mkdir(mode=0o700)
    (tmp_path / "private/id.key").write_text("ab")
    (tmp_path / "private/id.key").chmod(0o600)
    broken = job.model_copy(
        update={"source": f"{tmp_path}/none", "output": f"{tmp_path}/file/out", "bundle": f"{tmp_path}/none"}
    )
    found = list(place_checks(broken))
    wrong = {check.name: check for check in found if check.verdict is Verdict.FAILED}
    assert {"source", "output", "bundle", "id key"} <= set(wrong)
    assert all(check.remedy for check in wrong.values())
    assert all("\n" not in check.found for check in found)


def test_an_output_on_s3_is_written_once(job: ScreenConfig, s3: S3Server) -> None:
    bucket = s3.bucket()
    found = list(place_checks(job.model_copy(update={"output": f"s3://{bucket}/results"})))
    assert set(verdicts(found).values()) == {Verdict.OK}, found
    assert s3.client().find(bucket) == []


def test_a_machine_with_too_little(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("s2sw.pipeline.doctor.machine.limits", lambda: TINY)
    found = verdicts(list(machine_checks(ClusterSettings(workers=4), str(tmp_path), 0)))
    assert {name for name, verdict in found.items() if verdict is Verdict.FAILED} == {
        "memory", "processes", "open files",
    }  # fmt: skip
    assert found["CPUs"] is found["shared memory"] is Verdict.WARNING


def test_the_command_ends_with_1_where_something_is_in_the_way(job: ScreenConfig, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    values = {"source": job.source, "output": job.output, "private_dir": job.private_dir}
    file.write_text(yaml.safe_dump(values))
    runner = CliRunner()
    sound = runner.invoke(app, ["doctor", str(file), "--no-ray"])
    assert sound.exit_code == 0, sound.output
    file.write_text(yaml.safe_dump(values | {"source": f"{tmp_path}/none"}))
    broken = runner.invoke(app, ["doctor", str(file), "--no-ray"])
    assert broken.exit_code == 1
    assert "failed source" in broken.output
    assert runner.invoke(app, ["doctor", f"{tmp_path}/none.yaml"]).exit_code == 2


def test_a_variable_that_ray_aborts_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_health_check_period_ms", "soon")
    done = CliRunner().invoke(app, ["doctor", "--no-ray"], env=dict(os.environ))
    assert done.exit_code == 1
    assert "RAY_health_check_period_ms" in done.output
