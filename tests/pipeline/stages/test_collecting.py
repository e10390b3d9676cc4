"""Objects become whole whatever the order of their rows, and no object twice."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.pipeline.stages.collecting import Collector, FinishedObject
from s2sw.pipeline.stages.wire import DETECTED, table_of
from s2sw.schemas.outcomes import Reason, Status
from s2sw.schemas.tables import Row
from tests.support.rows import end_row, slice_row


def add(collector: Collector, *rows: Row) -> list[FinishedObject]:
    return list(collector.add(table_of(list(rows), DETECTED)))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_an_object_is_whole_with_its_last_row_in_any_order(order: tuple[int, ...]) -> None:
    rows = [slice_row(0, 0, 0.25), slice_row(0, 1, 0.75), end_row(0, 2)]
    collector = Collector(1)
    for place in order[:2]:
        assert add(collector, rows[place]) == []
        assert collector.has_open
    (whole,) = add(collector, rows[order[2]])
    assert (whole.status, whole.reason, whole.decoder) == (Status.SCREENED, None, "dicom")
    assert [row["image_score"] for row in whole.slices] == [0.25, 0.75]
    assert not collector.has_open


def test_slices_after_the_end_of_a_finished_object_are_dropped() -> None:
    collector = Collector(1)
    assert len(add(collector, slice_row(0, 0), end_row(0, 1))) == 1
    assert add(collector, slice_row(0, 0), end_row(0, 1)) == []


def test_a_slice_that_comes_twice_counts_once() -> None:
    collector = Collector(1)
    assert add(collector, slice_row(0, 0), slice_row(0, 0), end_row(0, 2)) == []
    (whole,) = add(collector, slice_row(0, 1))
    assert [row["slice_index"] for row in whole.slices] == [0, 1]


def test_a_reason_ends_the_object_without_its_slices() -> None:
    collector = Collector(1)
    (whole,) = add(collector, slice_row(0, 0), end_row(0, 0, Reason.TRUNCATED))
    assert (whole.status, whole.reason, whole.slices) == (Status.QUARANTINED, Reason.TRUNCATED, [])
    assert add(collector, slice_row(0, 1)) == []


def test_one_failed_slice_fails_its_object() -> None:
    (whole,) = add(
        Collector(1), slice_row(0, 0), slice_row(0, 1, reason=Reason.DETECTOR_FAILED), end_row(0, 2)
    )
    assert (whole.status, whole.reason, whole.slices) == (Status.QUARANTINED, Reason.DETECTOR_FAILED, [])


def test_objects_without_photographs_and_deferred_ones_have_their_status() -> None:
    first, second = add(Collector(2), end_row(0, 0, Reason.NOT_AN_IMAGE), end_row(1, 0, Reason.TIME_WINDOW))
    assert (first.status, second.status) == (Status.NO_PIXELS, Status.DEFERRED)


def test_what_is_missing_is_named_and_can_be_given_up() -> None:
    collector = Collector(4)
    add(collector, end_row(1, 0, Reason.EMPTY), slice_row(2, 0))
    assert collector.missing() == [0, 2, 3]
    assert not collector.has_open
    lost = list(collector.give_up([0, 2], Reason.WORKER_CRASHED, attempts=3))
    assert [(o.number, o.status, o.reason, o.attempts) for o in lost] == [
        (number, Status.QUARANTINED, Reason.WORKER_CRASHED, 3) for number in (0, 2)
    ]
    assert collector.missing() == [3]


def test_an_outcome_can_be_taken_back() -> None:
    collector = Collector(1)
    add(collector, end_row(0, 0, Reason.TIMEOUT))
    collector.put_back(0)
    assert collector.missing() == [0]
    assert len(add(collector, slice_row(0, 0), end_row(0, 1))) == 1


def test_stage_seconds_add_up() -> None:
    collector = Collector(2)
    add(collector, slice_row(0, 0), slice_row(0, 1), end_row(0, 2), end_row(1, 0, Reason.EMPTY))
    assert collector.stage_seconds == {"decode": 1.0, "detect": 0.5}


@given(st.lists(st.integers(0, 4), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_every_object_comes_out_once_from_shuffled_and_repeated_rows(
    counts: list[int], rng: random.Random
) -> None:
    rows = [slice_row(number, i) for number, count in enumerate(counts) for i in range(count)]
    rows += [end_row(number, count, None if count else Reason.EMPTY) for number, count in enumerate(counts)]
    rows += rng.choices(rows, k=3)
    rng.shuffle(rows)
    collector = Collector(len(counts))
    cut = rng.randrange(len(rows))
    whole = add(collector, *rows[:cut]) + add(collector, *rows[cut:])
    assert sorted(o.number for o in whole) == list(range(len(counts)))
    assert [len(o.slices) for o in sorted(whole, key=lambda o: o.number)] == counts
    assert collector.missing() == []
