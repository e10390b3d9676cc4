"""Screened archives, private and open, made once, and exports of them."""

from pathlib import Path

import pytest

from tests.support.screened import Screened, screen_archive


@pytest.fixture(scope="session")
def private_archive(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    return screen_archive(tmp_path_factory.mktemp("ward"))


@pytest.fixture(scope="session")
def open_archive(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    return screen_archive(tmp_path_factory.mktemp("lake"), "open")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where an export goes."""
    return tmp_path / "export"
