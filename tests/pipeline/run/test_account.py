"""The account of a run with several writers adds up over their partitions."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.listing.partitions import partitions_of
from s2sw.pipeline.run.account import account
from s2sw.pipeline.run.progress import Tally
from s2sw.schemas.outcomes import Status
from s2sw.schemas.run_record import RunSummary
from s2sw.schemas.tables import DEFERRED

IDS = [f"id-{number}" for number in range(20)]


class Sets:
    """Ids of which some are left."""

    def __init__(self, left: list[str]) -> None:
        self._left = left

    def left(self, run_id: str) -> pa.RecordBatchReader:
        rows = [{"object_id": one, "since": run_id} for one in self._left]
        return pa.Table.from_pylist(rows, DEFERRED).to_reader()

    def duplicates(self) -> int:
        return 0

    def statuses(self) -> dict[str, int]:
        return {"screened": len(IDS) - len(self._left)}


@pytest.mark.parametrize(("shift", "missing"), [(0, 0), (1, 2)])
def test_what_one_partition_lacks_another_one_does_not_hide(tmp_path: Path, shift: int, missing: int) -> None:
    """shift: objects that the first says it has finished, and has not, and the second did instead."""
    places = partitions_of(IDS, 2).tolist()
    left = [IDS[places.index(0)], IDS[places.index(1)]]
    counts = [places.count(0), places.count(1)]
    finished = [counts[0] - 1 + shift, counts[1] - 1 - shift]
    summary: Any = RunSummary("20260701T230000-aaaaaa", "f", {}, "", resources={"partitions": 2})
    summary.partitions = [{"number": n, "objects": counts[n], "finished": finished[n]} for n in range(2)]
    tally = Tally(total=len(IDS))
    tally.statuses[Status.SCREENED] = sum(finished)
    sets: Any = Sets(left)
    account(summary, LocalOutput(tmp_path), sets, tally, too_late=True)
    assert summary.missing == missing
    assert summary.by_status["deferred"] == 2 - missing
    assert [one["left"] for one in summary.partitions] == [1, 1]
