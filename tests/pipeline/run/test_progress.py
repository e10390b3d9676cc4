"""Counts of a run so far, and their samples over time."""

import logging

import pytest

from s2sw.pipeline.run import progress
from s2sw.pipeline.run.progress import TIMELINE_POINTS, ProgressDisplay, Tally, Timeline
from s2sw.schemas.outcomes import Reason, Status
from tests.support.rows import quarantined, screened


def test_the_tally_counts_objects_slices_and_views() -> None:
    tally = Tally(total=3)
    whole = screened(0, 0.1, 0.2)
    whole.slices[1]["tiles"] = [0, 0, 5, 5, 5, 0, 10, 5]
    tally.add(whole)
    tally.add(quarantined(1))
    tally.add(quarantined(2, Reason.TIME_WINDOW))
    assert (tally.objects, tally.slices, tally.views) == (3, 2, 4)
    assert tally.statuses == {Status.SCREENED: 1, Status.QUARANTINED: 1, Status.DEFERRED: 1}
    assert tally.reasons == {"truncated": 1, "time_window": 1}


def test_a_line_tells_how_far_the_partitions_are(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "PLAIN_SECONDS", 0.0)
    caplog.set_level(logging.INFO, "s2sw")
    display = ProgressDisplay(Tally(total=20))
    display.update(lambda: [facts(0, 10, 5, 1), facts(1, 8, 6, 3), facts(2, 0, 0, 1)])
    display.update()
    several, one = caplog.records
    assert "2 partitions at 50% to 75%, writers lost: 2" in several.getMessage()
    assert vars(several)["fields"]["partitions"] == [5, 6, 0]
    assert "partition" not in one.getMessage()
    assert "partitions" not in vars(one)["fields"]


def facts(number: int, objects: int, finished: int, writers: int) -> dict[str, float]:
    return {"number": number, "objects": objects, "finished": finished, "writers": writers}


def test_samples_are_taken_at_intervals_and_stay_few() -> None:
    timeline = Timeline()
    timeline.start()
    for number in range(50):
        timeline.add(number, 2 * number)
    assert timeline.points[0][1:] == (0, 0)
    assert len(timeline.points) <= TIMELINE_POINTS
    assert len(timeline.points) < 50, "no sample a call"
