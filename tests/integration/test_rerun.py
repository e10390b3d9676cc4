"""Rerun is recovery: limits, windows and force, until every object is accounted for."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2sw.pipeline.imaging.tiles import tile_boxes
from s2sw.pipeline.results.reading import full_map, slice_maps
from s2sw.schemas.config import TileSettings
from s2sw.schemas.tables import Row
from tests.integration.conftest import Archive
from tests.support.commands import RAY, Run, screen

pytestmark = pytest.mark.integration

TILES = {"size": 64, "overlap": 16}
FIRST = 7  # files of the first run: the broken ones, the DICOM and NIfTI files and one picture


def last_run(output: str | Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(max(Path(output, "runs").glob("*.json")).read_text())
    return document


def parts(output: str) -> dict[str, bytes]:
    found = (path for folder in ("objects", "slices") for path in Path(output, folder).iterdir())
    return {str(path): path.read_bytes() for path in found}


def test_a_rerun_adds_no_rows_and_starts_no_ray(private_run: Run, archive: Archive) -> None:
    before = parts(private_run.output)
    again = screen(private_run.private.parent, archive.folder, private_run.output, cluster=RAY, here=True)
    assert again.code == 0, again.stderr
    assert parts(again.output) == before
    run = last_run(again.output)
    assert (run["already_done"], sum(run["new"].values())) == (len(archive.expected), 0)
    assert run["by_status"] == {"screened": 7, "no_pixels": 0, "quarantined": 4, "deferred": 0}
    assert "executor" not in run["resources"], "nothing was left to do, and no process was started"


@dataclass(frozen=True)
class Stage:
    """What lay in the output after one run."""

    code: int
    text: str
    objects: list[Row]
    slices: list[Row]
    run: dict[str, Any]


@pytest.fixture(scope="module")
def life(archive: Archive, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """Return the stages of one output: a limit, a window that is over, the rest, force, and once more."""
    folder = tmp_path_factory.mktemp("life")
    common = {"bundle": str(bundle), "mode": "open", "tiles": TILES}

    def stage(*options: str) -> Stage:
        run = screen(folder, archive.folder, str(folder / "results"), *options, **common)
        return Stage(run.code, run.stdout + run.stderr, run.objects(), run.slices(), last_run(run.output))

    return {
        "limit": stage("--limit", str(FIRST)),
        "over": stage("--until", "0s"),
        "rest": stage(),
        "force": stage("--force", "--limit", str(FIRST)),
        "after": stage(),
    }


def test_a_limit_takes_the_first_of_the_listing(life: dict[str, Stage], archive: Archive) -> None:
    stage = life["limit"]
    assert stage.code == 0, stage.text
    assert sorted(archive.name(row["uri"]) for row in stage.objects) == sorted(archive.expected)[:FIRST]
    assert stage.run["listed"] == FIRST == sum(stage.run["by_status"].values())


def test_tiles_are_those_of_the_settings(life: dict[str, Stage]) -> None:
    settings = TileSettings.model_validate(TILES)
    rows = life["limit"].slices
    assert sum(bool(row["tiles"]) for row in rows) == 2  # the CT slice and the picture
    for row in rows:
        maps, boxes = slice_maps(row), tile_boxes(row["rows"], row["cols"], settings)
        assert maps.boxes == boxes
        assert maps.token_maps.shape == (1 + len(boxes), row["grid"], row["grid"])
        heat = full_map(row)
        assert heat.shape == (row["rows"], row["cols"])
        assert row["map_max"] == pytest.approx(heat.max(), abs=1e-6)
    assert life["limit"].run["views"] == sum(1 + len(row["tiles"]) // 4 for row in rows)


def test_after_the_window_all_is_deferred_and_nothing_written(
    life: dict[str, Stage], archive: Archive
) -> None:
    stage = life["over"]
    assert stage.code == 3, stage.text
    assert stage.objects == life["limit"].objects
    assert stage.run["by_status"]["deferred"] == len(archive.expected) - FIRST
    assert sum(stage.run["by_status"].values()) == stage.run["listed"] == len(archive.expected)


def test_the_next_run_finishes_all_and_repeats_nothing(life: dict[str, Stage], archive: Archive) -> None:
    stage = life["rest"]
    assert stage.code == 0, stage.text
    assert Counter(archive.name(row["uri"]) for row in stage.objects) == dict.fromkeys(archive.expected, 1)
    assert all(row in stage.objects for row in life["limit"].objects)
    assert stage.run["already_done"] == FIRST
    assert stage.run["by_status"]["deferred"] == 0
    ends = {archive.name(row["uri"]): (row["status"], row["reason"]) for row in stage.objects}
    assert ends == {name: (e.status, e.reason) for name, e in archive.expected.items()}


def test_force_screens_again_with_the_same_result(life: dict[str, Stage]) -> None:
    stage = life["force"]
    assert stage.code == 0, stage.text
    assert stage.run["new"]["screened"] + stage.run["new"]["quarantined"] == FIRST
    run_id = stage.run["run_id"]
    assert len([row for row in stage.objects if row["run_id"] == run_id]) == FIRST
    first = {(row["object_id"], row["slice_index"]): row for row in life["limit"].slices}
    again = [row for row in stage.slices if row["run_id"] == run_id]
    assert len(again) == len(first)
    for row in again:
        before = first[row["object_id"], row["slice_index"]]
        assert row["image_score"] == pytest.approx(before["image_score"], abs=1e-6)
        np.testing.assert_allclose(full_map(row), full_map(before), atol=1e-3)


def test_after_force_nothing_is_left_to_do_and_nothing_counts_twice(
    life: dict[str, Stage], archive: Archive
) -> None:
    stage = life["after"]
    assert stage.code == 0, stage.text
    assert (stage.run["missing"], stage.run["duplicates"]) == (0, 0)
    assert sum(stage.run["new"].values()) == 0
    assert Counter(archive.name(row["uri"]) for row in stage.objects) == dict.fromkeys(archive.expected, 1)
