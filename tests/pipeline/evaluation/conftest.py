"""Tiny towers run best on one thread, and two bundles serve all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.pipeline.evaluation.bundles import bundle


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bundles")
    return [bundle(folder / f"seed-{seed}", seed) for seed in (5, 6)]
