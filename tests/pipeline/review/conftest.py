"""Two screened archives, private and open, made once; pages over copies that a test may write to."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pipeline.review.serving import Client, served
from tests.support.screened import Screened, screen_archive


@pytest.fixture(scope="session")
def private_archive(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    return screen_archive(tmp_path_factory.mktemp("ward"))


@pytest.fixture(scope="session")
def open_archive(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    return screen_archive(tmp_path_factory.mktemp("lake"), "open")


def copied(screened: Screened, folder: Path) -> Screened:
    """Return the same with results of its own, in another place: the crosswalk is found by the run's id."""
    output = folder / f"results-{screened.archive.parent.name}"
    shutil.copytree(screened.output, output)
    return replace(screened, output=output)


@pytest.fixture
def private(private_archive: Screened, tmp_path: Path) -> Screened:
    return copied(private_archive, tmp_path)


@pytest.fixture
def lake(open_archive: Screened, tmp_path: Path) -> Screened:
    return copied(open_archive, tmp_path)


@pytest.fixture
def page(private: Screened) -> Iterator[Client]:
    """The page over private results."""
    with served(private.output, private.private) as client:
        yield client


@pytest.fixture
def open_page(lake: Screened) -> Iterator[Client]:
    """The page over open results."""
    with served(lake.output, lake.private) as client:
        yield client
