"""Two bundles serve all tests."""

from pathlib import Path

import pytest

from tests.support.bundles import bundle
from tests.support.threads import one_thread as one_thread


@pytest.fixture(scope="package")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return [bundle(folder / f"seed-{seed}", seed) for seed in (5, 6)]
