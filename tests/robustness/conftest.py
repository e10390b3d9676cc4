"""One archive that takes a while, screened once undisturbed; folders short enough for Ray's sockets."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.robustness import accounts
from tests.robustness.processes import job_file, processes_of, until
from tests.support.archives import encoded, nifti_volume, texture
from tests.support.commands import RAY, screen

PICTURES, VOLUMES, VOLUME_SLICES = 160, 8, 12


@dataclass(frozen=True)
class Archive:
    """A folder of files; slices says how many each has; the higher a file's number, the newer it is."""

    folder: Path
    slices: dict[str, int]


@dataclass(frozen=True)
class Undisturbed:
    """What a run over the archive gives that nobody disturbs, and how long it took to start."""

    scores: accounts.Scores
    run: dict[str, Any]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("long-archive")
    slices: dict[str, int] = {}
    for number in range(PICTURES):
        name = f"{number:04}.png"
        (folder / name).write_bytes(encoded(texture(60 + number % 7, 80 + number % 5, number), "PNG"))
        slices[name] = 1
    for number in range(VOLUMES):
        name = f"{number * PICTURES // VOLUMES:04}v.nii"
        (folder / name).write_bytes(nifti_volume((32, 30, VOLUME_SLICES), number))
        slices[name] = VOLUME_SLICES
    for age, name in enumerate(sorted(slices)):
        os.utime(folder / name, (1_700_000_000 + age, 1_700_000_000 + age))
    return Archive(folder, slices)


@pytest.fixture(scope="session")
def undisturbed(archive: Archive, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    run = screen(folder, archive.folder, str(folder / "results"), bundle=str(bundle), mode="open")
    assert run.code == 0, run.stderr
    accounts.assert_each_once(run.output, archive.slices)
    return Undisturbed(accounts.scores(run.output), accounts.last_run(run.output))


@pytest.fixture
def ray_temp() -> Iterator[Path]:
    """A folder for Ray's sessions, whose sockets allow about a hundred characters; nothing may stay there."""
    folder = Path(tempfile.mkdtemp(prefix="s2"))
    try:
        yield folder
        until(lambda: not processes_of(folder), f"the end of all processes of {folder}", seconds=120)
        assert [str(path.relative_to(folder)) for path in folder.rglob("*")] == []
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def job(archive: Archive, bundle: Path, ray_temp: Path, tmp_path: Path) -> Path:
    """A job over the archive that commits often."""
    return job_file(
        tmp_path,
        source=str(archive.folder),
        output=str(tmp_path / "results"),
        private_dir=str(tmp_path / "private"),
        bundle=str(bundle),
        mode="open",
        batch_size=4,
        profile="none",
        parts={"seconds": 0.5},
        cluster=RAY | {"workers": 1, "temp_dir": str(ray_temp)},
    )
