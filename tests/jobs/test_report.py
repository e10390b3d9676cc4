"""``s2sw report`` as users call it."""

import json
import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.outputs.opening import open_output
from s2sw.jobs.cli import app
from s2sw.schemas.storage import StorageSettings
from tests.support.finished_runs import BUNDLE, FIRST, SECOND, config, summarise, write_parts, write_run
from tests.support.rows import quarantined, screened
from tests.support.s3server import S3Server

EARLIER = [screened(0, 0.25, 0.5), quarantined(1)]
LATER = [screened(0, 0.75)]


def report(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def refused(*arguments: str | Path) -> str:
    """Return the one line that the command ends with."""
    result = report(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture
def results(tmp_path: Path) -> Path:
    output = LocalOutput(tmp_path / "results")
    for run_id, objects in ((FIRST, EARLIER), (SECOND, LATER)):
        write_parts(output, objects, run_id)
        write_run(output, summarise(objects, run_id))
    return tmp_path / "results"


def test_the_latest_run_is_shown(results: Path) -> None:
    result = report(results)
    assert result.exit_code == 0
    for text in (
        f"Run {SECOND}",
        "Accounted for by id: 1 listed = 1 + 0 + 0 + 0",
        "0.7500",
        "prompts: mvtec.pth",
    ):
        assert text in result.stdout
    assert "UNTRAINED" not in result.stdout


def test_another_run_is_shown_by_its_id(results: Path) -> None:
    result = report(results, "--run", FIRST)
    assert f"Run {FIRST}" in result.stdout
    assert "truncated" in result.stdout


def test_all_runs_are_a_line_each(results: Path) -> None:
    lines = report(results, "--all").stdout.splitlines()
    assert lines[1].split() == [
        FIRST,
        "finished",
        "(0)",
        "s2swclip",
        "2",
        "1",
        "0",
        "1",
        "0",
        "2",
        "120.0",
        "0.0",
    ]
    assert [line.split()[0] for line in lines[1:3]] == [FIRST, SECOND]


def test_an_untrained_detector_is_said_so(results: Path) -> None:
    summary = summarise(LATER, SECOND, bundle=BUNDLE | {"trained": False, "prompts": "[bold]seed[/]"})
    write_run(LocalOutput(results), summary)
    text = report(results).stdout
    assert "UNTRAINED" in text
    assert "prompts: [bold]seed[/]" in text
    assert "untrained" in report(results, "--all").stdout


def test_the_page_of_a_private_run_is_its_owners(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "new/report.html"
    result = report(results, "--html", page)
    assert result.exit_code == 0
    assert result.stdout.endswith(f"Page: {page}\n")
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "st-elsewhere" not in page.read_text()


def test_the_page_of_an_open_run_is_an_ordinary_file(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_run(LocalOutput(results), summarise(LATER, SECOND), config(mode="open"))
    report(results, "--html", page)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600, "the run before was private"
    os.umask(0o022)
    write_run(LocalOutput(results), summarise(EARLIER, FIRST), config(mode="open"))
    report(results, "--html", page)
    assert stat.S_IMODE(page.stat().st_mode) == 0o644
    assert "/st-elsewhere/archive" in page.read_text()


def test_a_run_that_broke_is_not_called_sound(results: Path) -> None:
    write_run(LocalOutput(results), summarise(LATER, SECOND, outcome="failed", by_status={}))
    text = report(results).stdout
    assert "failed, exit code 1" in text
    assert "NOT accounted for" in text


def test_bad_usage_is_one_line(results: Path, tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == f"s2sw: no such output: {tmp_path}/none is not a folder"
    assert "holds no runs" in refused(tmp_path)
    assert refused(results, "--run", "x").endswith(f"known: {FIRST}, {SECOND} (--all lists them)")
    assert "leave out --run and --html" in refused(results, "--all", "--run", FIRST)


def test_a_page_that_cannot_be_written_is_one_line(results: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = report(results, "--html", tmp_path / "file/report.html")
    assert result.exit_code == 2
    assert result.stderr == f"s2sw: cannot write {tmp_path}/file/report.html: File exists\n"


def test_a_damaged_run_file_is_one_line(results: Path) -> None:
    (results / f"runs/{SECOND}.json").write_text(json.dumps({"run_id": SECOND}))
    assert f"runs/{SECOND}.json: not the file of a run" in refused(results)


@pytest.mark.integration
def test_results_on_s3_are_shown(s3: S3Server, tmp_path: Path) -> None:
    address = f"s3://{s3.bucket()}/nightly"
    output = open_output(address, StorageSettings())
    write_parts(output, EARLIER)
    write_run(output, summarise(EARLIER))
    assert "0.5000" in report(address, "--endpoint-url", s3.endpoint).stdout
    assert "no such bucket" in refused("s3://none-of-ours/nightly")
