"""Names of folders that rich would take for markup are said as they are."""

from pathlib import Path

from typer.testing import CliRunner

from s2sw.jobs.cli import app
from tests.support.archives import encoded, texture

NAME = "[/oops]"


def test_a_source_whose_name_is_markup(bundle: Path, tmp_path: Path) -> None:
    source, output = tmp_path / NAME, tmp_path / f"out{NAME}"
    source.mkdir(parents=True)
    (source / "[bold]x[bold].png").write_bytes(encoded(texture(20, 20, 1), "PNG"))
    private = ["--private-dir", str(tmp_path / "private")]
    screen: list[object] = ["screen", str(source), "-o", str(output), "--bundle", str(bundle), *private]
    for command in (
        screen,
        ["report", output, "--html", tmp_path / NAME / "page.html"],
        ["verify", output],
        ["compact", output, *private],
        ["audit", "verify", output, *private],
        ["worklist", output],
        ["drift", output],
        ["export", output, "-f", "csv", "--to", tmp_path / f"to{NAME}", *private],
        ["boundary", "check", source, "-o", output, *private],
    ):
        done = CliRunner().invoke(app, [str(part) for part in command])
        assert done.exception is None or isinstance(done.exception, SystemExit), (command, done.exception)
