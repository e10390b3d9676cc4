"""The private files of a run: one folder for each output, its owner's only."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from s2sw.pipeline.privacy.private_dir import Inside, new_run_id
from s2sw.schemas.forms import is_run_id


def test_run_ids_sort_by_time_and_are_unique() -> None:
    ids = {new_run_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(re.fullmatch(r"\d{8}T\d{6}-[0-9a-f]{6}", text) for text in ids)


def test_runs_that_are_moved_behind_another_one_have_ids_of_their_own() -> None:
    """As runs have that are killed at once, within a second of the one before, and leave no record."""
    before = new_run_id()
    ids = {new_run_id([before]) for _ in range(100)}
    assert len(ids) > 90  # of sixteen in the same microsecond some may be equal
    assert min(ids) > before


def test_a_run_sorts_behind_one_whose_clock_was_ahead() -> None:
    """Within a day: an id of the year 9999 is planted, and nothing could come after it."""
    now = datetime.now(UTC)
    ahead, planted = (f"{now + timedelta(minutes=n):%Y%m%dT%H%M%S}-aaaaaa" for n in (10, 10_000_000))
    first = new_run_id(["20260101T000000-ffffff", ahead, planted])
    assert ahead < first < planted
    assert is_run_id(first)
    assert first < new_run_id([first]), "whatever its digits"
    assert new_run_id(["20260101T000000-ffffff"]) < ahead


def test_folders_are_the_owners_only(tmp_path: Path) -> None:
    state = Inside(tmp_path / "private").open_state("/results", "run")
    for path in (tmp_path / "private", state.folder, state.work):
        assert path.stat().st_mode & 0o777 == 0o700


def test_each_output_has_its_own_folder_under_whatever_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def folder(output: str) -> Path:
        return Inside(tmp_path / "private").open_state(output, "run").folder

    assert folder("results") == folder("results/") == folder(str(tmp_path / "results"))
    assert folder("s3://b/results") == folder("s3://b/results/")
    assert len({folder("results"), folder("results-2"), folder("s3://b/results")}) == 3


def test_scratch_goes_and_the_crosswalk_stays(tmp_path: Path) -> None:
    state = Inside(tmp_path).open_state("/results", "run")
    state.crosswalk(0).mkdir(parents=True)
    state.crosswalk(1).mkdir(parents=True)
    state.clear()
    assert state.crosswalk(0).is_dir()
    assert not state.work.exists()
