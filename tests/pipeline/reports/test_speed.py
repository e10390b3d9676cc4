"""Rates over a timeline add up to what was done."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.pipeline.reports.speed import spans, stages
from tests.support.finished_runs import summarise

step = st.tuples(st.floats(0.1, 60), st.integers(0, 50), st.integers(0, 900))


@given(st.lists(step, min_size=1, max_size=400))
def test_rates_times_their_spans_are_what_was_done(steps: list[tuple[float, int, int]]) -> None:
    timeline, at = [], (0.0, 0, 0)
    for seconds, objects, slices in steps:
        at = (at[0] + seconds, at[1] + objects, at[2] + slices)
        timeline.append(at)
    found = spans(timeline, most=60)
    assert len(found) <= 60
    assert [span.start for span in found[1:]] == [span.end for span in found[:-1]]
    assert (found[0].start, found[-1].end) == (0, at[0])
    assert sum(span.objects_per_second * (span.end - span.start) for span in found) == pytest.approx(at[1])
    assert sum(span.slices_per_second * (span.end - span.start) for span in found) == pytest.approx(at[2])


@pytest.mark.parametrize("timeline", [[], [(0.0, 3, 4)]])
def test_no_time_no_rates(timeline: list[tuple[float, int, int]]) -> None:
    assert spans(timeline) == []


def test_stages_name_their_rates() -> None:
    summary = summarise([], slices=200, views=800)
    assert [(stage.unit, stage.rate) for stage in stages(summary)] == [
        ("slices", 5.0),
        ("views", 5.0),
        ("slices", 2.0),
    ]
    assert stages(summarise([], seconds={"total": 1.0}, stage_seconds={})) == []
