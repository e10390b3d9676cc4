"""``s2sw audit verify``: exit codes and lines; what it finds is tested beside the log."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.outputs.s3 import S3Output
from s2sw.jobs.cli import app
from s2sw.pipeline.ledger.audit import STARTED, AuditLog
from s2sw.pipeline.privacy.ids import load_or_create_key
from s2sw.schemas.storage import StorageSettings
from tests.support.s3server import S3Server


def verify(output: str | Path, *options: str | Path) -> Result:
    return CliRunner().invoke(app, ["audit", "verify", str(output), *map(str, options)])


def fill(output: OutputFolder, private: Path) -> None:
    private.mkdir()
    log = AuditLog(output, load_or_create_key(private))
    for event in (STARTED, "finished"):
        log.append(event, "run-1", {})


def test_a_sound_log(tmp_path: Path) -> None:
    out, private = tmp_path / "out", tmp_path / "private"
    fill(LocalOutput(out), private)
    result = verify(out, "--private-dir", private)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("2 entries, 2 seals fit, head ")
    head = result.stdout.split()[-1]
    assert verify(out, "--private-dir", private, "--head", head).exit_code == 0
    elsewhere = verify(out, "--private-dir", tmp_path / "none")
    assert elsewhere.exit_code == 0
    assert "2 not checked" in elsewhere.stdout


def test_a_broken_log_has_a_line_for_every_problem(tmp_path: Path) -> None:
    out, private = tmp_path / "out", tmp_path / "private"
    fill(LocalOutput(out), private)
    entry = out / "audit" / "00000000.jsonl"
    entry.write_text(entry.read_text().replace("run-1", "run-2"))
    result = verify(out, "--private-dir", private)
    assert result.exit_code == 1
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == [
        "audit/00000000.jsonl",
        "audit/00000001.jsonl",
    ]
    assert "fit" not in result.stdout


@pytest.mark.parametrize("folder", ["none", ""])
def test_no_log_is_bad_usage(tmp_path: Path, folder: str) -> None:
    result = verify(tmp_path / folder)
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)


@pytest.mark.integration
def test_a_log_on_s3(s3: S3Server, tmp_path: Path) -> None:
    output = f"s3://{s3.bucket()}/results"
    folder = S3Output(output, StorageSettings())
    fill(folder, tmp_path / "private")
    result = verify(output, "--private-dir", tmp_path / "private")
    assert result.exit_code == 0, result.output
    folder.delete("audit/00000000.jsonl")
    assert verify(output).exit_code == 1
