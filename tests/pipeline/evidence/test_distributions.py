"""The past of a night, kept as sketches: the same as of the rows, and true when rows or decisions change."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.evidence.cases import case_worklist
from s2sw.pipeline.evidence.slices import slice_p_values
from s2sw.pipeline.evidence.worklist import object_worklist
from s2sw.pipeline.flagging.decisions import Decision, append
from s2sw.pipeline.results.reading import Results
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.flagging import FlagSettings
from s2sw.schemas.layout import DISTRIBUTIONS_FOLDER
from s2sw.schemas.tables import DISTRIBUTIONS, Row
from tests.support.finished_runs import FIRST, SECOND, SETTINGS
from tests.support.nights import PATIENT, night, usual
from tests.support.rows import made_id, screened

THIRD = "20260703T010000-cccccc"
MAKERS = {"object": object_worklist, "case": case_worklist}


def rows_of(folder: Path, unit: str, run_id: str = SECOND) -> list[Row]:
    """Return what is said of the units of a night."""
    results = Results(LocalOutput(folder), SETTINGS)
    if unit == "slice":
        return slice_p_values(results, run_id).to_pylist()
    return MAKERS[unit](results, run_id, FlagSettings(budget=1)).table.to_pylist()


def highest(objects: list[FinishedObject]) -> np.ndarray:
    return np.float32([max(row["image_score"] for row in one.slices) for one in objects])


def p_of(past: np.ndarray, score: float) -> float:
    return float((1 + (past >= np.float32(score)).sum()) / (1 + len(past)))


@pytest.fixture
def two_nights(tmp_path: Path) -> tuple[Path, list[FinishedObject]]:
    past = usual(100)
    night(tmp_path, FIRST, past)
    night(tmp_path, SECOND, [screened(0, 0.1, 0.2, 0.3, 0.35)])
    return tmp_path, past


@pytest.mark.parametrize("unit", ["object", "case", "slice"])
def test_a_past_is_read_from_its_sketches_not_from_its_rows(
    two_nights: tuple[Path, list[FinishedObject]], unit: str
) -> None:
    folder, _ = two_nights
    before = rows_of(folder, unit)
    (file,) = (folder / DISTRIBUTIONS_FOLDER).glob(f"{FIRST}-{unit}.parquet")
    kept = pq.read_table(file)
    assert kept.schema.equals(DISTRIBUTIONS)
    assert set(kept["rows"].to_pylist()) == {400}
    assert rows_of(folder, unit) == before
    lower = kept.set_column(
        kept.schema.get_field_index("top"),
        DISTRIBUTIONS.field("top"),
        pa.array([[0.0] * len(one) for one in kept["top"].to_pylist()], DISTRIBUTIONS.field("top").type),
    )
    pq.write_table(lower, file)
    assert all(row["p_value"] == 1 / (row["n_past"] + 1) for row in rows_of(folder, unit))


@pytest.mark.parametrize("damage", ["bytes", "rows", "settings", "order", "count", "not a number", "column"])
def test_a_file_that_is_not_of_these_rows_is_made_anew(
    two_nights: tuple[Path, list[FinishedObject]], damage: str
) -> None:
    folder, past = two_nights
    expected = p_of(highest(past), 0.35)
    assert [row["p_value"] for row in rows_of(folder, "object")] == [pytest.approx(expected)]
    file = folder / DISTRIBUTIONS_FOLDER / f"{FIRST}-object.parquet"
    table = pq.read_table(file)
    changed = {
        "rows": ("rows", [399]), "settings": ("fingerprint", ["e" * 32]), "count": ("n", [99]),
        "order": ("top", [list(range(100))[::-1]]), "not a number": ("top", [[float("nan")] * 100]),
    }  # fmt: skip
    if damage == "bytes":
        file.write_bytes(b"PAR1 and no more")
    elif damage == "column":
        pq.write_table(table.drop_columns("weights"), file)
    else:
        name, values = changed[damage]
        at = table.schema.get_field_index(name)
        pq.write_table(
            table.set_column(at, DISTRIBUTIONS.field(name), pa.array(values, table[name].type)), file
        )
    assert [row["p_value"] for row in rows_of(folder, "object")] == [pytest.approx(expected)]
    assert pq.read_table(file).equals(table)


def test_an_anomaly_that_reviewers_find_later_is_counted_off(
    two_nights: tuple[Path, list[FinishedObject]],
) -> None:
    folder, past = two_nights
    rows_of(folder, "object")  # the sketch holds it
    found = int(np.argmax(highest(past)))
    now = datetime.now(UTC)
    kind = DecisionKind.ACCEPT
    append(LocalOutput(folder), [Decision(made_id(FIRST, found), 0, SETTINGS, kind, "ada", now, 0.5)])
    usual_ones = np.delete(highest(past), found)
    (row,) = rows_of(folder, "object")
    assert (row["n_past"], row["p_value"]) == (99, pytest.approx(p_of(usual_ones, 0.35)))
    (row, *_) = rows_of(folder, "slice")
    assert row["n_past"] == 396


def test_an_object_that_is_screened_again_is_compared_with_others_only(tmp_path: Path) -> None:
    past = usual(100)
    night(tmp_path, FIRST, past)
    second = screened(0, 0.1, 0.2, 0.3, 0.35)
    night(tmp_path, SECOND, [second])
    rows_of(tmp_path, "object")  # the sketch holds it
    night(tmp_path, THIRD, [past[7]], [made_id(FIRST, 7)])
    (row,) = rows_of(tmp_path, "object", THIRD)
    others = np.append(np.delete(highest(past), 7), highest([second]))
    assert row["object_id"] == made_id(FIRST, 7)
    assert (row["n_past"], row["p_value"]) == (100, pytest.approx(p_of(others, float(highest(past)[7]))))


def test_what_is_left_of_a_case_stays_in_the_past(tmp_path: Path) -> None:
    """Two objects of one lot: in one an anomaly is found, so that the lot's other object speaks for it."""
    past = [replace(one, case=PATIENT) if number < 2 else one for number, one in enumerate(usual(100))]
    night(tmp_path, FIRST, past)
    night(tmp_path, SECOND, [screened(0, 0.1, 0.2, 0.3, 0.35)])
    (row,) = rows_of(tmp_path, "case")
    assert row["n_past"] == 98  # the lot has eight slices, those of this case have four
    append(
        LocalOutput(tmp_path),
        [Decision(made_id(FIRST, 0), 0, SETTINGS, DecisionKind.ACCEPT, "ada", datetime.now(UTC), 0.5)],
    )
    (row,) = rows_of(tmp_path, "case")
    assert row["n_past"] == 99
    assert row["p_value"] == pytest.approx(p_of(highest(past[1:]), 0.35))
