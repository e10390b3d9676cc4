"""One CLIP and one data set serve all tests."""

import pytest

from s2sw.connectors.datasets import DataSet
from s2sw.model.weights.clip import ClipWeights
from tests.support import training_pictures as pictures
from tests.support.precision import bf16_everywhere as bf16_everywhere
from tests.support.threads import one_thread as one_thread


@pytest.fixture(scope="package")
def clip() -> ClipWeights:
    return pictures.clip()


@pytest.fixture(scope="package")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSet:
    return pictures.data_set(tmp_path_factory.mktemp("data") / "parts")
