"""Two screened archives, private and open, made once; pages over copies that a test may write to."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pipeline.review.serving import Client, served
from tests.support.screened import Screened, archive_files, screen_archive
from tests.support.series import series_files

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def private_archive(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    return screen_archive(tmp_path_factory.mktemp("ward"))


@pytest.fixture(scope="session")
def open_archive(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    return screen_archive(tmp_path_factory.mktemp("lake"), "open")


@pytest.fixture(scope="session")
def series_archive(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    """A CT series of single files, in private results, and a picture."""
    files = series_files() | {name: archive_files()[name] for name in ("ward/ct.dcm", "ward/head.nii")}
    return screen_archive(tmp_path_factory.mktemp("series"), files=files)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, for one module's tests: an event loop runs in this thread meanwhile, and no other may."""
    play = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").sync_playwright()
    from tests.pipeline.review.browser import CHROMIUM

    with play as started:
        # the sandbox needs rights that a container may not give; pages come from this machine alone
        arguments = [
            "--no-sandbox",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-gpu",
        ]
        opened = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield opened
        opened.close()


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
def series(series_archive: Screened, tmp_path: Path) -> Screened:
    return copied(series_archive, tmp_path)


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
