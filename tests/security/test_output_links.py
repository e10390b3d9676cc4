"""Links, pipes and files without end that somebody planted in an output: none is followed or waited for."""

import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from s2sw.connectors.outputs.folder import CONTROL_BYTES
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.results.reading import open_results
from s2sw.schemas.errors import UserError
from tests.support.screened import Screened

TABLES = ("slices", "objects")


def run(*command: object) -> str:
    """Run a command that may fail, in one line; return what it said."""
    done = CliRunner().invoke(app, [str(part) for part in command])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


@pytest.fixture
def other(ward: Screened, tmp_path: Path) -> Path:
    """Another output, which the one who plants links cannot read; here with one run of the same rows."""
    return Path(shutil.copytree(ward.output, tmp_path / "private"))


def test_linked_parts_are_not_read(ward: Screened, other: Path) -> None:
    for table in TABLES:
        for part in (other / table).rglob("*.parquet"):
            own = ward.output / part.relative_to(other)
            own.unlink()
            own.symlink_to(part)
    results = open_results(str(ward.output))
    assert results.sql("FROM slices").fetchall() == []
    assert len(results.objects()) == len(results.slices()) == 0
    run("compact", ward.output, "--private-dir", ward.private)
    assert not [path for path in ward.output.rglob("*.parquet") if not path.is_symlink() and in_table(path)]


def in_table(path: Path) -> bool:
    return bool(set(TABLES) & set(path.parts)) and pq.read_metadata(path).num_rows > 0


@pytest.mark.parametrize("table", TABLES)
def test_linked_folders_are_refused(ward: Screened, other: Path, table: str) -> None:
    shutil.rmtree(ward.output / table)
    (ward.output / table).symlink_to(other / table)
    for command in ("report", "compact"):
        options = ["--private-dir", ward.private] if command == "compact" else []
        said = run(command, ward.output, *options)
        assert f"{ward.output / table} is a symbolic link" in said.replace("\n", "")


def test_folders_below_a_table_are_refused(ward: Screened, other: Path) -> None:
    (ward.output / "slices/site=x").symlink_to(other / "slices")
    with pytest.raises(UserError, match="site=x is a symbolic link"):
        open_results(str(ward.output)).slices()


def test_nothing_is_written_deleted_or_read_through_a_linked_folder(tmp_path: Path) -> None:
    victim, root = tmp_path / "victim", tmp_path / "output"
    victim.mkdir()
    root.mkdir()
    for name in (".tmp-kept", "kept"):
        (victim / name).write_bytes(b"kept")
    (root / "worklist").symlink_to(victim)
    output = LocalOutput(root)
    for act in (
        lambda: output.write("worklist/new", b""),
        lambda: output.write("worklist/date=x/new", b""),
        lambda: output.create("worklist/new", b""),
        lambda: output.read("worklist/kept"),
        lambda: output.sizes("worklist"),
        lambda: output.sizes(""),
        lambda: output.delete("worklist/kept"),
        lambda: output.clear_temporary("worklist"),
    ):
        with pytest.raises(UserError, match="worklist is a symbolic link"):
            act()
    assert sorted(path.name for path in victim.iterdir()) == [".tmp-kept", "kept"]


def test_a_linked_file_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    root, victim = tmp_path / "output", tmp_path / "victim"
    root.mkdir()
    victim.write_bytes(b"kept")
    (root / "note.json").symlink_to(victim)
    output = LocalOutput(root)
    assert output.sizes("") == {}
    with pytest.raises(UserError, match=r"note\.json is a symbolic link"):
        output.read("note.json")
    output.write("note.json", b"new")
    assert (output.read("note.json"), victim.read_bytes()) == (b"new", b"kept")


def test_the_output_itself_may_be_a_link(ward: Screened, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(ward.output)
    assert open_results(str(tmp_path / "link")).slices() == open_results(str(ward.output)).slices()


def endless(path: Path) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(64 << 30)  # a hole: no byte of it is on the disk


def pipe(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("plant", [endless, pipe, device])
def test_records_without_end_are_refused(ward: Screened, tmp_path: Path, plant: object) -> None:
    assert callable(plant)
    for path in [*(ward.output / "runs").glob("*.json"), *(ward.output / "audit").iterdir()]:
        plant(path)
    plant(ward.output / "objects/_merge-x.json")
    (tmp_path / "profile").mkdir()
    plant(tmp_path / "profile/profile.json")
    for command in (["report", ward.output], ["audit", "verify", ward.output], ["worklist", ward.output]):
        run(*command)
    assert "profile.json" in run("profile", "show", tmp_path / "profile")


def test_what_is_read_is_bounded(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    (tmp_path / "whole").write_bytes(b"x" * 10)
    assert output.read("whole", 10) == b"x" * 10
    with pytest.raises(UserError, match="whole has more than"):
        output.read("whole", 9)
    endless(tmp_path / "runs.json")
    with pytest.raises(UserError, match=f"more than {CONTROL_BYTES >> 20} MiB"):
        output.read("runs.json")
