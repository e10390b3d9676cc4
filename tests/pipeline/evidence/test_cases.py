"""Cases: what belongs together, the findings in it, and what earlier nights said of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.evidence.cases import case_worklist
from s2sw.pipeline.evidence.worklist import newest_run
from s2sw.pipeline.ledger.writer import Writer
from s2sw.pipeline.results.reading import Results
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.schemas.config import FlagSettings, PartSettings
from s2sw.schemas.tables import CASES, Row
from tests.support.finished_runs import FIRST, SECOND, SETTINGS, summarise, write_run
from tests.support.rows import made_id, screened, stored

STUDY, PATIENT = "s" * 26, "p" * 26


def with_masks(
    finished: FinishedObject, shares: list[float], planes: list[str] | None = None
) -> FinishedObject:
    for place, (row, share) in enumerate(zip(finished.slices, shares, strict=True)):
        row["area_fraction"] = share
        row["plane"] = planes[place] if planes else "axial"
    return finished


def night(folder: Path, run_id: str, objects: list[FinishedObject]) -> None:
    """Commit objects; the digest that stands for a study is its name here."""
    output = LocalOutput(folder)
    constants = {"bundle": "b", "fingerprint": SETTINGS, "run_id": run_id, "threshold": 0.5}
    writer = Writer(
        output,
        PartSettings(),
        constants,
        keep_uri=False,
        uid_ids=lambda uids: {"study_id": uids[0].decode()} if uids else {},
    )
    for number, finished in enumerate(objects):
        writer.add(finished, made_id(run_id, number), stored(number))
    writer.commit()
    write_run(output, summarise(objects, run_id))


def usual(count: int, seed: int = 0) -> list[FinishedObject]:
    scores = np.random.default_rng(seed).beta(2, 8, (count, 4))
    return [screened(number, *map(float, own)) for number, own in enumerate(scores)]


def cases(folder: Path, **size: object) -> list[Row]:
    results = Results(LocalOutput(folder), SETTINGS)
    made = case_worklist(results, newest_run(results), FlagSettings(**(size or {"budget": 5})))
    assert made.table.schema.equals(CASES)
    rows: list[Row] = made.table.to_pylist()
    return rows


def test_the_objects_of_a_study_are_one_case(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(200))
    objects = usual(100, 1)
    objects[3] = replace(screened(3, 0.97, 0.4), uids=(STUDY.encode(),), case=PATIENT)
    objects[4] = replace(screened(4, 0.9, 0.1), uids=(STUDY.encode(),), case=PATIENT)
    objects[5] = replace(screened(5, 0.8), case="l" * 26)
    night(tmp_path, SECOND, objects)
    rows = cases(tmp_path)
    assert len(rows) == 99
    assert [row["rank"] for row in rows] == list(range(1, 100))
    assert sum(row["listed"] for row in rows) == 5
    study, lot = rows[0], next(row for row in rows if row["case_id"] == "l" * 26)
    assert (study["case_id"], study["level"], study["n_objects"], study["n_slices"]) == (STUDY, "study", 2, 4)
    assert lot["level"] == "case"
    assert {row["level"] for row in rows} == {"study", "case", "object"}
    worst = [(one["object_id"], one["slice_index"], round(one["score"], 2)) for one in study["worst"]]
    first, second = (made_id(SECOND, number) for number in (3, 4))
    assert worst == [(first, 0, 0.97), (second, 0, 0.9), (first, 1, 0.4)]
    assert study["p_value"] == 1 / 201
    assert study["n_past"] == 200  # those of like length


def test_neighbouring_slices_with_a_mask_are_one_finding(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    volume = screened(0, 0.1, 0.5, 0.9, 0.4, 0.2, 0.6, 0.1, 0.3)
    night(tmp_path, SECOND, [with_masks(volume, [0, 0.25, 0.5, 0.25, 0, 0.25, 0, 0])])
    (row,) = cases(tmp_path)
    assert row["n_findings"] == 2
    lesion, speck = row["findings"]
    assert (lesion["first_slice"], lesion["last_slice"], lesion["worst_slice"]) == (1, 3, 2)
    assert (lesion["slices"], lesion["pixels"]) == (3, 24)  # a slice has 4 x 6
    assert lesion["score"] == pytest.approx(0.9)
    assert (speck["first_slice"], speck["last_slice"], speck["slices"], speck["pixels"]) == (5, 5, 1, 6)


def test_the_windows_of_a_frame_are_neighbours_of_their_own_kind(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    planes = ["frame/lung", "frame/bone"] * 3
    both = with_masks(screened(0, *[0.5] * 6), [0.5, 0, 0.5, 0, 0, 0.5], planes)
    night(tmp_path, SECOND, [both])
    (row,) = cases(tmp_path)
    spans = {(one["plane"], one["first_slice"], one["last_slice"]) for one in row["findings"]}
    assert spans == {("frame/lung", 0, 2), ("frame/bone", 5, 5)}


def test_a_case_tells_what_an_earlier_night_said_of_its_patient(tmp_path: Path) -> None:
    before = usual(100)
    before[0] = replace(screened(0, 0.3), uids=(b"e" * 26,), case=PATIENT)
    night(tmp_path, FIRST, before)
    night(tmp_path, "20260701T020000-dddddd", [replace(screened(0, 0.35), uids=(b"f" * 26,), case=PATIENT)])
    after = [replace(screened(0, 0.8), uids=(STUDY.encode(),), case=PATIENT), screened(1, 0.2)]
    night(tmp_path, SECOND, after)
    known, new = sorted(cases(tmp_path), key=lambda row: -row["score"])
    assert known["earlier_run"] == "20260701T020000-dddddd"
    assert known["earlier_score"] == pytest.approx(0.35)
    assert known["change"] == pytest.approx(0.45)
    assert (new["earlier_run"], new["earlier_score"], new["change"]) == (None, None, None)


def test_a_case_of_several_groups_pays_for_each(tmp_path: Path) -> None:
    """The least of two p-values counts twice."""

    def of(number: int, *scores: float) -> FinishedObject:
        finished = screened(number, *scores)
        finished.slices[0]["group"], finished.slices[1]["group"] = "CT", "MR"
        return finished

    rng = np.random.default_rng(0)
    night(tmp_path, FIRST, [of(n, *map(float, rng.random(2) / 2)) for n in range(99)])
    night(tmp_path, SECOND, [of(0, 0.9, 0.01)])
    (row,) = cases(tmp_path)
    assert (row["p_value"], row["group"], row["n_past"]) == (2 / 100, "CT", 99)


def test_the_command_lists_cases(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    night(tmp_path, SECOND, usual(60, 2))
    done = CliRunner().invoke(app, ["worklist", str(tmp_path), "--by", "case", "--budget", "4"])
    assert done.exit_code == 0, done.output
    assert "4 of 60 cases are on the worklist; at most about" in done.stdout
    table: pa.Table = pq.read_table(tmp_path / "cases" / f"{SECOND}.parquet")
    assert table.schema.equals(CASES)
    assert not (tmp_path / "worklist").exists()
