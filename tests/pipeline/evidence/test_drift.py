"""Drift: real changes of pictures are found within 500 slices, and nights without one are quiet."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.jobs.screen import _export_drift
from s2sw.pipeline.evidence.drift import ALPHA, Change, compare, corrected, drift, share_changes
from s2sw.pipeline.evidence.nights import histograms
from s2sw.pipeline.imaging.appearance import brightness, sharpness
from s2sw.pipeline.results.reading import Results
from s2sw.pipeline.run.metrics import metrics_text
from s2sw.schemas.run_record import parse_record
from tests.support.archives import texture
from tests.support.finished_runs import summarise, write_parts, write_run
from tests.support.rows import quarantined, screened

CHANGES = {
    "gain": lambda picture: np.clip(picture * 1.05, 0, 255),
    "kernel": lambda picture: gaussian_filter(picture.astype(float), (0.6, 0.6, 0)),
    "camera": lambda picture: np.clip(
        picture * 0.9 + np.random.default_rng(1).normal(0, 8, picture.shape), 0, 255
    ),
}


def measured(pictures: list[NDArray[np.uint8]]) -> dict[str, NDArray[np.float64]]:
    return {
        "brightness": np.array([brightness(one) for one in pictures]),
        "sharpness": np.array([sharpness(one) for one in pictures]),
    }


def moved(before: dict[str, NDArray[np.float64]], now: dict[str, NDArray[np.float64]]) -> list[str]:
    found = [compare("a", name, before[name], now[name]) for name in before]
    return [one.measure for one in corrected([one for one in found if one is not None]) if one.moved]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_pictures_is_found_within_500(change: str) -> None:
    before = measured([texture(48, 48, seed) for seed in range(1500)])
    same = [texture(48, 48, seed) for seed in range(2000, 2500)]
    assert moved(before, measured(same)) == []
    changed = [CHANGES[change](picture).astype(np.uint8) for picture in same]
    expected = "brightness" if change == "gain" else "sharpness"
    assert expected in moved(before, measured(changed))


def test_nights_without_a_change_are_quiet() -> None:
    """Fewer than 1 in 100 with an alarm, of 250 nights of 20 comparisons each."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(250):
        # enough for the quick formula of the test's distribution
        found = [compare(str(n), "score", rng.random(800), rng.random(200)) for n in range(20)]
        alarms += any(one.moved for one in corrected([one for one in found if one is not None]))
    assert alarms <= 2


def test_p_values_are_corrected_for_the_number_of_comparisons() -> None:
    def change(p: float) -> Change:
        return Change("a", "score", 0, 1, 0.5, p, 100, 100)

    found = corrected([change(0.04), change(0.001), change(0.03)])
    assert [one.p_value for one in found] == pytest.approx([0.003, 0.06, 0.06])
    assert [one.moved for one in found] == [ALPHA >= 0.003, False, False]


def test_small_changes_and_small_groups_are_not_told() -> None:
    rng = np.random.default_rng(0)
    tiny = compare("a", "score", rng.normal(0, 1, 200_000), rng.normal(0.1, 1, 200_000))
    assert tiny is not None
    assert tiny.p_value < 1e-9
    assert not tiny.moved
    assert compare("a", "score", rng.random(1000), rng.random(10)) is None
    counts = {"all": (20, 200, 10, 1000), "png": (2, 200, 10, 1000), "dicom": (9, 29, 0, 1000)}
    share, same = share_changes(counts)
    assert (share.group, share.now, share.before, share.moved) == ("all", 0.1, 0.01, True)
    assert (same.group, same.moved) == ("png", False)


def test_a_format_or_site_that_breaks_is_named_though_it_is_a_small_share(tmp_path: Path) -> None:
    """15 of 60 DICOM files, of 1,060 in all; and a site whose every file was fine."""
    output = LocalOutput(tmp_path)
    for day in (1, 2, 10):
        run_id = f"202607{day:02}T010000-{day:06}"
        pictures = [replace(screened(n, 0.3), decoder="png") for n in range(1000)]
        scans = [screened(1000 + n, 0.3) for n in range(60)]
        if day == 10:
            scans[:15] = [replace(quarantined(1000 + n), decoder="dicom") for n in range(15)]
        write_parts(output, [*pictures, *scans], run_id, rows=5000, site="north" if day != 2 else "south")
        write_run(output, summarise([*pictures, *scans], run_id))
    found = {one.group: one for one in drift(Results(output), run_id) if one.measure == "quarantined"}
    assert set(found) == {"all", "dicom files", "png files", "site north"}  # of the south this night has none
    assert [name for name, one in found.items() if one.moved] == ["dicom files"]
    scans_now = found["dicom files"]
    assert (scans_now.now, scans_now.objects, scans_now.reference) == (0.25, 60, 120)
    assert found["site north"].reference == 1060


def night(folder: Path, day: int, shift: float, broken: int = 0) -> None:
    run_id = f"202607{day:02}T010000-{day:06}"
    rng = np.random.default_rng(day)
    objects = [screened(n, *map(float, rng.beta(2, 8, 2) * 0.5 + shift)) for n in range(150)]
    for one in objects:
        for row in one.slices:
            row["brightness"] = float(rng.normal(100, 5))
    objects += [quarantined(150 + n) for n in range(broken)]
    write_parts(LocalOutput(folder), objects, run_id, rows=2000)
    write_run(LocalOutput(folder), summarise(objects, run_id))


def test_the_command_says_what_moved_and_since_when(tmp_path: Path) -> None:
    for day in range(1, 11):
        night(tmp_path, day, 0.0 if day < 9 else 0.2, broken=60 if day == 10 else 0)
    done = CliRunner().invoke(app, ["drift", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    changes = {(one["group"], one["measure"]): one for one in found["changes"]}
    assert {key for key, one in changes.items() if one["moved"]} == {
        ("CT/frame", "score"), ("all", "quarantined"),
    }  # fmt: skip
    score = changes["CT/frame", "score"]
    assert score["since"] == "2026-07-09"
    assert (score["objects"], score["reference"]) == (150, 6 * 150)  # three days before are left out
    assert "CT/frame score" in found["says"]
    shown = CliRunner().invoke(app, ["drift", str(tmp_path)])
    assert "since 2026-07-09" in shown.stdout
    figures = tmp_path / "s2sw.prom"  # as a run writes them at its end; its exit code stays
    summary = parse_record((tmp_path / "runs" / "20260710T010000-000010.json").read_bytes()).summary
    _export_drift(LocalOutput(tmp_path), str(figures), summary)
    assert 's2sw_drifted_groups{measure="score"} 1.0' in figures.read_text()
    assert 's2sw_drifted_groups{measure="quarantined"} 1.0' in figures.read_text()
    assert f"s2sw_run_exit_code {summary.exit_code:.1f}" in figures.read_text()
    assert "Drift: " in CliRunner().invoke(app, ["report", str(tmp_path)]).stdout


def test_the_report_opens_with_the_morning(tmp_path: Path) -> None:
    for day in range(1, 11):
        night(tmp_path, day, 0.0 if day < 9 else 0.2)
    page = tmp_path / "report.html"

    def report() -> str:
        done = CliRunner().invoke(app, ["report", str(tmp_path), "--html", str(page)])
        assert done.exit_code == 0, done.output
        return page.read_text().partition("<main>")[2]

    assert report().index("No worklist of this run was written") < report().index("What became of")
    made = CliRunner().invoke(app, ["worklist", str(tmp_path), "--budget", "40"])
    assert made.exit_code == 0, made.output
    (worth,) = [line for line in made.stdout.splitlines() if "are on the worklist" in line]
    text = report()
    first = text[: text.index("What became of the objects")]
    assert f"<li>{worth}.</li>" in first
    assert "expected to be false alarms" in worth
    assert "Drift: CT/frame score" in first
    assert "Nothing was deferred." in first
    assert first.count("<svg") == 1
    assert "CT/frame: score over nights" in first
    for day in range(1, 11):
        assert f"2026-07-{day:02}: " in first


def test_histograms_over_nights_hold_all_objects_of_each(tmp_path: Path) -> None:
    for day in range(1, 11):
        night(tmp_path, day, 0.0 if day < 9 else 0.2)
    results, run_id = Results(LocalOutput(tmp_path)), "20260710T010000-000010"
    (nights,) = histograms(results, run_id, drift(results, run_id))
    assert len(nights.days) == 10
    assert [sum(shares) for shares in nights.shares] == pytest.approx([1.0] * 10)
    middle = [float(np.average(nights.edges[:-1], weights=shares)) for shares in nights.shares]
    assert min(middle[8:]) > max(middle[:8]) + 0.1


def test_a_young_archive_has_nothing_to_compare_with(tmp_path: Path) -> None:
    for day in (1, 2):
        night(tmp_path, day, 0.0)
    done = CliRunner().invoke(app, ["drift", str(tmp_path)])
    assert done.exit_code == 0
    assert "nothing to compare with yet" in done.stdout


def test_what_moved_is_a_metric() -> None:
    text = metrics_text(summarise([]), {"score": 2, "size": 0})
    assert 's2sw_drifted_groups{measure="score"} 2.0' in text
    assert "s2sw_drifted_groups" not in metrics_text(summarise([]))
