"""Slices are counted once; what may change the number is counted again."""

from pathlib import Path
from typing import Any

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.review.archive import Archive
from s2sw.pipeline.review.decision_log import DecisionLog
from s2sw.pipeline.review.filters import Filters
from s2sw.pipeline.review.ranking import Worklist
from tests.support.finished_runs import FIRST, SECOND, SETTINGS, write_parts
from tests.support.rows import screened


def test_slices_are_counted_once_until_a_run_commits_more(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    write_parts(output, [screened(0, 0.5)], FIRST)
    archive, reviewer = Archive(output), "ada"
    table = DecisionLog(output, reviewer).table(SETTINGS)

    def total(**fields: Any) -> tuple[int, bool]:
        """Return the number of slices, and whether it was known."""
        cursor = archive.cursor(table)
        counted = Worklist(cursor, Filters(settings=SETTINGS, **fields), reviewer, archive.counted)
        before = len(archive.counted)
        return counted.counts().total, len(archive.counted) == before

    assert total() == (1, False)
    assert total(order="low", stay=True) == (1, True)
    assert total(low=0.6) == (0, False)
    assert total(decision="none") == (1, True)  # never kept: each decision changes it
    write_parts(output, [screened(1, 0.6)], SECOND)
    archive.refresh()
    assert total() == (2, False)
