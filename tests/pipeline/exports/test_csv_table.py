"""The CSV worklist, and that no spreadsheet takes a cell for a formula."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.pipeline.exports.csv_table import COLUMNS, _harmless
from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.privacy.ids import KEY_FILE
from tests.pipeline.exports.exported import export, rows_of
from tests.support.screened import HOSTILE, Screened


def lines(folder: Path) -> list[dict[str, str]]:
    with (folder / "worklist.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_line_a_slice_highest_score_first(private_archive: Screened, folder: Path) -> None:
    export(private_archive, "csv", folder, top=None)
    found = lines(folder)
    rows = rows_of(private_archive)
    assert [int(line["rank"]) for line in found] == list(range(1, len(rows) + 1))
    scores = [float(line["image_score"]) for line in found]
    assert scores == sorted(scores, reverse=True)
    for line in found:
        row = rows[line["object_id"], int(line["slice_index"])]
        assert (line["site"], line["date"]) == (row["site"], str(row["date"]))
        assert float(line["image_score"]) == pytest.approx(row["image_score"], abs=1e-6)
        assert line["decision"] == line["note"] == ""
    assert list(found[0]) == list(COLUMNS)


@pytest.mark.parametrize("mode", ["open", "private"])
def test_addresses_are_a_column_when_asked_for(
    open_archive: Screened, private_archive: Screened, folder: Path, mode: str
) -> None:
    """In private mode they come from the crosswalk."""
    screened = open_archive if mode == "open" else private_archive
    export(screened, "csv", folder, Reveal.NAMES, top=None)
    below = f"{screened.archive.resolve()}/"
    found = {line["address"].removeprefix(below): line["object_id"] for line in lines(folder)}
    assert any(address.endswith(HOSTILE) for address in found)
    assert found.items() <= screened.ids.items()


def test_without_the_crosswalk_ids_remain_and_the_reason_is_told(
    private_archive: Screened, folder: Path, tmp_path: Path
) -> None:
    elsewhere = replace(private_archive, private=tmp_path)
    shutil.copy(private_archive.private / KEY_FILE, tmp_path)
    exported = export(elsewhere, "csv", folder, Reveal.NAMES, top=3)
    assert [line["address"] for line in lines(folder)] == ["", "", ""]
    assert (exported.written, dict(exported.skipped)) == (3, {})
    assert "name its folder with --private-dir" in (exported.no_source or "")


@given(st.text())
def test_no_cell_starts_a_formula(text: str) -> None:
    cell = _harmless(text)
    assert isinstance(cell, str)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell.replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("separator", [";", ",", "\t", "|", "\n"])
def test_no_separator_starts_a_cell_with_a_formula(separator: str) -> None:
    for sign in "=+-@":
        cell = str(_harmless(f"scan{separator} {sign}cmd|' /C calc'!A0.png"))
        assert f"{separator}' {sign}" in cell
    assert _harmless("ward-1/a=b+c@d, e.png") == "ward-1/a=b+c@d, e.png"


@pytest.mark.parametrize("mark", [False, True])
def test_excel_is_told_that_it_is_utf_8(private_archive: Screened, folder: Path, mark: bool) -> None:
    export(private_archive, "csv", folder, top=2, byte_order_mark=mark)
    data = (folder / "worklist.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfrank,") is mark
    assert data.decode("utf-8-sig").startswith("rank,object_id,")
