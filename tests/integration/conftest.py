"""One mixed archive and one private run over it, shared by the tests that only look."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.archives import Expected, mixed_archive
from tests.support.commands import Run, screen

METRICS = "s2sw.prom"
"""Name of the metrics file of the private run, in the folder that holds its results."""


@dataclass(frozen=True)
class Archive:
    """A folder of files, and how each of them (by its path below the folder) has to end."""

    folder: Path
    expected: dict[str, Expected]

    def name(self, uri: str) -> str:
        """Return an address as a path below the folder."""
        return str(Path(uri).relative_to(self.folder.resolve()))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    folder = tmp_path_factory.mktemp("archive") / "ward"
    return Archive(folder, mixed_archive(folder))


@pytest.fixture(scope="session")
def private_run(archive: Archive, embedded: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Screen the mixed archive in private mode, once. Its output must not be changed by a test."""
    folder = tmp_path_factory.mktemp("private-run")
    results = folder / "results"
    return screen(folder, archive.folder, str(results), here=False, metrics_file=str(folder / METRICS))


@pytest.fixture(scope="session")
def names(archive: Archive, private_run: Run) -> dict[str, str]:
    """Return object id -> path below the archive, read from the crosswalk of the private run."""
    rows = [
        row
        for path in private_run.private.glob("*/crosswalk/*/*.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
    return {row["object_id"]: archive.name(row["uri"]) for row in rows}
