"""Later pictures enter a profile: the same however it is done, and nothing is lost when it is killed."""

import os
import shutil
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.flagging.decisions import Decision, append
from s2sw.pipeline.profile.banks import read_bank
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.results.reading import open_results
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.storage import StorageSettings
from tests.robustness.processes import until
from tests.support.archives import encoded, texture
from tests.support.commands import COMMAND, s2sw_here, screen
from tests.support.tiny_dinov2 import tiny as tiny

pytestmark = pytest.mark.integration

FIRST, LATER = 30, 8
PATCHES = 25


def pictures(folder: Path, numbers: range) -> None:
    for number in numbers:
        (folder / f"{number:03}.png").write_bytes(encoded(texture(60, 70, number), "PNG"))


@pytest.fixture(scope="module")
def built(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an archive that has grown since its profile was built; both are to be copied."""
    folder = tmp_path_factory.mktemp("nights")
    (folder / "archive").mkdir()
    pictures(folder / "archive", range(FIRST))
    done = s2sw_here(*command("build", folder, folder, tiny), cwd=folder)
    assert done.returncode == 0, done.stderr
    pictures(folder / "archive", range(FIRST, FIRST + LATER))
    return folder


def command(verb: str, archive: Path, place: Path, tiny: Path, *more: str | Path) -> list[str | Path]:
    """Return arguments; the archive is never copied, since its ids are made of addresses and times."""
    return [
        "profile", verb, archive / "archive", "-p", place / "profile", "--bundle", tiny,
        "--private-dir", place / "private", "--precision", "fp32", *(more or ("--workers", "1")),
    ]  # fmt: skip


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    for name in ("profile", "private"):
        shutil.copytree(built / name, tmp_path / name)
    return tmp_path


def files_of(place: Path) -> dict[str, bytes]:
    """Return the banks of a profile's present groups, by name."""
    folder = ProfileFolder(str(place / "profile"), StorageSettings())
    return {group.file: (place / "profile" / group.file).read_bytes() for group in folder.read().groups}


def test_a_killed_update_leaves_the_old_profile_whole_and_goes_on_to_the_same_bytes(
    built: Path, copy: Path, tiny: Path
) -> None:
    before, document = files_of(copy), (copy / "profile" / "profile.json").read_bytes()
    process = subprocess.Popen(
        [COMMAND, *command("update", built, copy, tiny)],
        cwd=copy, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    seeded = "private/*/building-*/seeded-*/*.arrow"
    until(lambda: process.poll() is not None or len(list(copy.glob(seeded))) > 2, "seeded pictures")
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert (copy / "profile" / "profile.json").read_bytes() == document
    assert files_of(copy) == before
    done = s2sw_here(*command("update", built, copy, tiny, "--workers", "2"), cwd=copy)
    assert done.returncode == 0, done.stderr
    assert f"{FIRST + LATER} of them by an earlier try" in done.stderr
    undisturbed = s2sw_here(*command("update", built, built, tiny), cwd=copy)
    assert "Groups changed" in undisturbed.stdout, undisturbed.stderr
    assert files_of(copy) == files_of(built) != before
    records = [ProfileFolder(str(place / "profile"), StorageSettings()).read() for place in (copy, built)]
    assert records[0].fingerprint == records[1].fingerprint
    assert [group.pictures for group in records[0].groups] == [FIRST + LATER]


def test_rows_already_written_stay_and_findings_stay_out(built: Path, tiny: Path, tmp_path: Path) -> None:
    place = {"profile": str(tmp_path / "profile"), "bundle": str(tiny)}
    few = tmp_path / "archive"
    few.mkdir()
    pictures(few, range(FIRST))
    done = s2sw_here(*command("build", tmp_path, tmp_path, tiny), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first = screen(tmp_path, few, str(tmp_path / "results"), **place)
    assert first.code == 0, first.stderr
    rows = first.slices()
    said = Decision(
        rows[0]["object_id"], 0, rows[0]["fingerprint"], DecisionKind.ACCEPT, "ada", datetime.now(UTC), 0.5
    )
    append(LocalOutput(Path(first.output)), [said])
    pictures(few, range(FIRST, FIRST + LATER))
    update = command("update", tmp_path, tmp_path, tiny, "--workers", "1", "--results", first.output)
    done = s2sw_here(*update, cwd=tmp_path)
    assert "Groups changed" in done.stdout, done.stderr
    folder = ProfileFolder(str(tmp_path / "profile"), StorageSettings())
    (group,) = folder.read().groups
    owners = read_bank(folder, group, PATCHES).owners
    assert len(owners) == FIRST + LATER - 1
    assert said.object_id not in owners
    second = screen(tmp_path, few, str(tmp_path / "results"), **place)
    assert second.code == 0, second.stderr
    everything = open_results(second.output, fingerprint="all").slices().to_pylist()
    assert [row for row in everything if row["fingerprint"] == said.fingerprint] == rows
    assert len(second.slices()) == FIRST + LATER  # under the new fingerprint
