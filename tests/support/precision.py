"""bf16 in tests is bf16 on every processor: their towers are small enough for one without products for it."""

from collections.abc import Iterator

import pytest

from s2sw.model import precision


@pytest.fixture(autouse=True, scope="module")
def bf16_everywhere() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "multiplies_bf16", lambda device: True)
        yield
