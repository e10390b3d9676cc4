"""How what is missing is tried again."""

import pytest

from s2sw.pipeline.listing.sweeps import COARSE, FEW, sweep_sizes


@pytest.mark.parametrize("missing", [0, 1, FEW])
def test_few_objects_are_tried_alone_and_twice(missing: int) -> None:
    assert sweep_sizes(missing, 256) == [1, 1]


@pytest.mark.parametrize("missing", [FEW + 1, 100_000])
def test_many_are_tried_in_smaller_tasks_first(missing: int) -> None:
    assert sweep_sizes(missing, 256) == [COARSE, 1, 1]


def test_tasks_never_grow() -> None:
    """Volumes: a task had few of them in the main pass already."""
    assert sweep_sizes(100_000, COARSE) == sweep_sizes(100_000, 1) == [1, 1]
