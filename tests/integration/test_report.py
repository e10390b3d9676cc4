"""What a real run leaves for monitoring and for its report: whole, and free of names."""

import stat
from pathlib import Path

import pytest

from tests.integration.conftest import METRICS, Archive
from tests.pipeline.run.test_metrics import parse, value
from tests.support.commands import Run, s2sw_here

pytestmark = pytest.mark.integration


@pytest.fixture
def metrics(private_run: Run) -> Path:
    return Path(private_run.output).with_name(METRICS)


def test_the_metrics_are_those_of_the_run(private_run: Run, metrics: Path) -> None:
    samples = parse(metrics.read_text())
    objects = private_run.objects()
    for status in ("screened", "no_pixels", "quarantined"):
        count = sum(row["status"] == status for row in objects)
        assert value(samples, "s2sw_objects_total", status=status) == count
    assert value(samples, "s2sw_listed_objects") == len(objects)
    assert value(samples, "s2sw_slices_total") == len(private_run.slices())
    assert value(samples, "s2sw_run_exit_code") == private_run.code == 0
    assert value(samples, "s2sw_run_in_progress") == 0
    assert stat.S_IMODE(metrics.stat().st_mode) == 0o600


def test_the_report_agrees_and_names_nothing(
    private_run: Run, metrics: Path, archive: Archive, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    done = s2sw_here("report", private_run.output, "--html", page, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    highest = max(row["image_score"] for row in private_run.slices())
    text = page.read_text()
    for said in (done.stdout, text):
        assert f"{len(private_run.slices()):,}" in said
        assert f"{highest:.4f}" in said
        assert "untrained" not in said.lower()
    names = [str(archive.folder), private_run.output, *(Path(name).name for name in archive.expected)]
    assert [name for name in names if name in text + metrics.read_text()] == []
