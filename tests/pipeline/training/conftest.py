"""Tiny towers run best on one thread."""

from collections.abc import Iterator

import pytest
import torch

from connectors.datasets import DataSet
from model.weights import ClipWeights
from tests.pipeline.training import pictures


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def clip() -> ClipWeights:
    return pictures.clip()


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return pictures.data_set(tmp_path_factory.mktemp("data") / "parts")
