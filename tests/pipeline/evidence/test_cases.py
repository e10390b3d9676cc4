"""Cases: what belongs together, the findings in it, and what earlier nights said of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.ndimage
from typer.testing import CliRunner

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.evidence import findings
from s2sw.pipeline.evidence.cases import case_worklist
from s2sw.pipeline.evidence.worklist import newest_run
from s2sw.pipeline.imaging.masks import encode_mask
from s2sw.pipeline.results.reading import Results
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.tables import CASES, Row
from tests.support.finished_runs import FIRST, SECOND, SETTINGS
from tests.support.nights import PATIENT, STUDY, in_series, night, usual, with_masks
from tests.support.rows import made_id, screened


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


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("study", [("s", "study", 3), ("t", "study", 1)]),
        ("patient", [("p", "patient", 4)]),
        ("series", [("r", "series", 2), ("u", "series", 1), ("t", "study", 1)]),
    ],
)
def test_cases_are_what_the_configuration_calls_one(
    tmp_path: Path, by: str, expected: list[tuple[str, str, int]]
) -> None:
    """A patient with two studies, the first of two series; and objects that are in none of them."""
    night(tmp_path, FIRST, usual(200))
    objects = usual(8, 1)
    for number, uids in enumerate(("sr", "sr", "su", "t")):
        own = tuple((letter * 26).encode() for letter in uids)
        objects[number] = replace(screened(number, 0.9 - number / 50, 0.1), uids=own, case=PATIENT)
    objects[4] = replace(objects[4], case="l" * 26)
    night(tmp_path, SECOND, objects)
    before = [replace(screened(0, 0.3), uids=(b"e" * 26,), case=PATIENT)]
    night(tmp_path, "20260701T020000-dddddd", before)
    rows = cases(tmp_path, budget=3, cases=by)
    known = [row for row in rows if row["earlier_run"]]
    assert [(row["case_id"][0], row["level"], row["n_objects"]) for row in known] == expected
    assert {row["earlier_score"] for row in known} == {np.float32(0.3)}
    others = [(row["level"], row["n_objects"]) for row in rows if not row["earlier_run"]]
    assert sorted(others) == [("case", 1), ("object", 1), ("object", 1), ("object", 1)]
    done = CliRunner().invoke(app, ["worklist", str(tmp_path), "--by", by, "--budget", "3"])
    assert done.exit_code == 0, done.output
    assert f"3 of {len(rows)} cases are on the worklist" in done.stdout
    assert pq.read_table(tmp_path / "cases" / f"{SECOND}.parquet")["case_id"].to_pylist() == [
        row["case_id"] for row in rows
    ]


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


def test_files_of_a_series_are_neighbours_by_their_place(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    shares = {0: 0, 1: 0.25, 2: 0.5, 3: 0.5, 4: 0, 5: 0.25, 6: 0, 7: 0}
    order = np.random.default_rng(2).permutation(len(shares))
    night(tmp_path, SECOND, [in_series(n, 3.0 * at, 0.2 + at / 20, shares[at]) for n, at in enumerate(order)])
    (row,) = cases(tmp_path)
    assert row["n_findings"] == 2
    lesion, speck = row["findings"]
    ids = {at: made_id(SECOND, number) for number, at in enumerate(order)}
    assert (lesion["first_object"], lesion["last_object"], lesion["object_id"]) == (ids[1], ids[3], ids[3])
    assert (lesion["slices"], lesion["of_slices"], lesion["pixels"]) == (3, 8, 30)
    assert lesion["volume_mm3"] == pytest.approx(30 * 0.5 * 0.25 * 3.0)
    assert (speck["first_object"], speck["last_object"], speck["slices"]) == (ids[5], ids[5], 1)


def test_a_missing_file_parts_two_findings(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    there = [0, 1, 2, 4, 5, 6]  # of 3 nothing is known
    night(tmp_path, SECOND, [in_series(n, 2.0 * at, 0.5, 0.25) for n, at in enumerate(there)])
    (row,) = cases(tmp_path)
    assert sorted(one["slices"] for one in row["findings"]) == [3, 3]


def test_pictures_at_one_place_are_stacks_of_their_own(tmp_path: Path) -> None:
    """Two echoes: one has a lesion through all slices, the other none."""
    night(tmp_path, FIRST, usual(100))
    files = [in_series(2 * at + echo, 2.0 * at, 0.5, 0.25 * echo, echo) for at in range(4) for echo in (0, 1)]
    night(tmp_path, SECOND, files)
    (row,) = cases(tmp_path)
    assert [(one["slices"], one["of_slices"]) for one in row["findings"]] == [(4, 4)]


def test_a_speck_of_one_slice_weighs_half_of_a_thicker_finding(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    volume = with_masks(screened(0, 0.9, 0.1, 0.6, 0.6, 0.1), [0.25, 0, 0.25, 0.25, 0])
    alone = with_masks(screened(1, 0.5), [0.25])  # a picture is no speck
    night(tmp_path, SECOND, [volume, alone])
    found = {len(row["findings"]): row["findings"] for row in cases(tmp_path)}
    thick, speck = found[2]
    assert (thick["slices"], speck["slices"]) == (2, 1)
    assert (thick["weight"], speck["weight"]) == (pytest.approx(0.6), pytest.approx(0.45))
    assert speck["score"] == pytest.approx(0.9)
    assert found[1][0]["weight"] == pytest.approx(0.5)
    assert found[1][0]["volume_mm3"] is None


def painted(volume: FinishedObject, masks: np.ndarray) -> FinishedObject:
    """Return an object with these masks, bool (slices, 4, 6)."""
    for row, inside in zip(volume.slices, masks, strict=True):
        row["area_fraction"] = float(inside.mean())
        row["mask"], row["mask_encoding"] = encode_mask(inside)
    return volume


def test_two_lesions_in_the_same_slices_are_two_findings(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    masks = np.zeros((5, 4, 6), np.bool_)
    masks[1:4, :2, :2] = True
    masks[2:4, 1:, 4:] = True
    files = [painted(in_series(n, 3.0 * n, 0.4, 0.0), inside[None]) for n, inside in enumerate(masks)]
    night(tmp_path, SECOND, files)
    (row,) = cases(tmp_path)
    assert row["n_findings"] == 2
    ids = [made_id(SECOND, n) for n in range(5)]
    assert [one["pixels"] for one in row["findings"]] == [12, 12]
    spans = sorted((one["first_object"], one["last_object"], one["slices"]) for one in row["findings"])
    assert spans == [(ids[1], ids[3], 3), (ids[2], ids[3], 2)]
    volumes = sorted(one["volume_mm3"] for one in row["findings"])
    assert volumes == pytest.approx([12 * 0.5 * 0.25 * 3.0] * 2)


def test_findings_of_random_volumes_are_their_components(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    masks = np.random.default_rng(4).random((12, 9, 4, 6)) < 0.12
    night(tmp_path, SECOND, [painted(screened(n, *[0.5] * 9), own) for n, own in enumerate(masks)])
    rows = {row["case_id"]: row["findings"] for row in cases(tmp_path)}
    for number, volume in enumerate(masks):
        labels, count = scipy.ndimage.label(volume, np.ones((3, 3, 3)))
        sizes = sorted(np.bincount(labels.ravel())[1:].tolist())
        assert sorted(one["pixels"] for one in rows[made_id(SECOND, number)]) == sizes
        assert count > 1


def test_a_finding_thinner_than_two_millimetres_weighs_half(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    shares = [0, 0.25, 0.25, 0.25, 0, 0.25, 0.25, 0.25, 0.25, 0]
    night(tmp_path, SECOND, [in_series(n, 0.5 * n, 0.8, share) for n, share in enumerate(shares)])
    (row,) = cases(tmp_path)
    found = [(one["slices"], round(one["weight"], 2)) for one in row["findings"]]
    assert found == [(4, 0.8), (3, 0.4)]


def test_a_mask_that_cannot_be_read_is_a_finding_of_its_own(tmp_path: Path) -> None:
    night(tmp_path, FIRST, usual(100))
    volume = with_masks(screened(0, *[0.5] * 4), [0.25, 0.5, 0.25, 0.25])
    volume.slices[1]["mask"] = b"no runs"
    night(tmp_path, SECOND, [volume])
    (row,) = cases(tmp_path)
    assert sorted((one["slices"], one["pixels"]) for one in row["findings"]) == [(1, 6), (1, 12), (2, 12)]


def test_masks_are_read_in_batches_of_whole_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    night(tmp_path, FIRST, usual(100))
    shares = [0, 0.25, 0.25, 0, 0.5, 0.5, 0.5]
    night(tmp_path, SECOND, [with_masks(screened(n, *[0.5] * 7), shares) for n in range(5)])
    whole = cases(tmp_path)
    monkeypatch.setattr(findings, "_BATCH", 4)
    assert cases(tmp_path) == whole
    assert {row["n_findings"] for row in whole} == {2}
