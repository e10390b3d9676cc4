"""``s2sw review`` as users call it, up to the point where it serves."""

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from tests.support.finished_runs import config, summarise, write_parts, write_run
from tests.support.rows import screened


def review(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["review", *map(str, arguments)])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    output = LocalOutput(tmp_path / "results")
    write_parts(output, [screened(0, 0.5)])
    write_run(output, summarise([screened(0, 0.5)]), config(mode="open"))
    return tmp_path / "results"


def refused(*arguments: str | Path) -> tuple[int, str]:
    """Return the exit code and the one line that the command ends with."""
    result = review(*arguments)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return result.exit_code, line


def test_what_cannot_be_reviewed_is_one_line(results: Path, tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == (2, f"s2sw: no such output: {tmp_path}/none is not a folder")
    (tmp_path / "empty").mkdir()
    code, line = refused(tmp_path / "empty")
    assert code == 2
    assert "holds no runs" in line
    assert refused(results, "--reviewer", " ")[1].startswith("s2sw: reviewer is ' ': 1 to 100 characters")


def test_a_damaged_file_of_decisions_is_one_line(results: Path) -> None:
    (results / "decisions").mkdir()
    (results / "decisions/x.parquet").write_bytes(b"nothing")
    code, line = refused(results)
    assert code == 2
    assert f"{results}/decisions/x.parquet: not a file of decisions" in line


def test_a_port_in_use_is_one_line(results: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused(results, "--port", str(port)) == (
            1,
            f"s2sw: port {port}: Address already in use; name another with --port",
        )
