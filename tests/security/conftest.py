"""A screened archive, private, made once; copies that a test may damage."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.screened import Screened, screen_archive


@pytest.fixture(scope="session")
def screened_once(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    names = ["ward/ct.dcm", "line-0/part-00.png", "line-1/part-01.png", "line-0/part-02.png"]
    return screen_archive(tmp_path_factory.mktemp("attacked"), names=names)


@pytest.fixture
def ward(screened_once: Screened, tmp_path: Path) -> Screened:
    """Results that a test may change."""
    output = tmp_path / "results"
    shutil.copytree(screened_once.output, output)
    return replace(screened_once, output=output)
