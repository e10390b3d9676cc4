"""A real archive end to end: what the tables hold, and that all of it adds up."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from s2sw.connectors.decode import decode
from s2sw.model import load_detector
from s2sw.model.detectors.embedded import EVIDENCE
from s2sw.model.towers import attention
from s2sw.pipeline.imaging.tiles import views
from s2sw.pipeline.results.reading import full_map, mask, slice_maps
from s2sw.schemas.decoding import DecodeSettings
from tests.integration.conftest import Archive
from tests.robustness.accounts import last_run
from tests.support.archives import encoded, texture
from tests.support.commands import Run, screen

pytestmark = pytest.mark.integration


def test_the_run_succeeds_and_says_what_it_did(private_run: Run, archive: Archive) -> None:
    assert private_run.code == 0, private_run.stderr
    assert "Traceback" not in private_run.stderr + private_run.stdout
    assert f"{len(archive.expected)} listed = 7 + 0 + 4 + 0" in private_run.stdout
    assert "UNTRAINED" not in private_run.stdout


def test_objects_has_one_row_for_every_file(
    private_run: Run, archive: Archive, names: dict[str, str]
) -> None:
    rows = private_run.objects()
    assert sorted(names[row["object_id"]] for row in rows) == sorted(archive.expected)
    for row in rows:
        expected = archive.expected[names[row["object_id"]]]
        assert (row["status"], row["reason"], row["n_slices"]) == (
            expected.status,
            expected.reason,
            expected.slices,
        ), names[row["object_id"]]
        assert row["bytes"] == (archive.folder / names[row["object_id"]]).stat().st_size


def test_slices_has_one_row_for_every_slice(
    private_run: Run, archive: Archive, names: dict[str, str]
) -> None:
    rows = private_run.slices()
    places = Counter((names[row["object_id"]], row["slice_index"]) for row in rows)
    assert places == {
        (name, index): 1 for name, expected in archive.expected.items() for index in range(expected.slices)
    }
    for row in rows:
        assert row["n_slices"] == archive.expected[names[row["object_id"]]].slices


def test_scores_are_finite_and_in_range(private_run: Run) -> None:
    for row in private_run.slices():
        figures = ("image_score", "map_max", "map_mean", "area_fraction")
        numbers = np.array([*(row[name] for name in figures), *row["family_scores"]])
        assert len(row["family_scores"]) == len(EVIDENCE)
        assert np.isfinite(numbers).all()
        assert numbers.min() >= 0
        assert numbers.max() <= 1


def test_an_objects_score_is_that_of_its_worst_slice(private_run: Run) -> None:
    slices = private_run.slices()
    for row in private_run.objects():
        own = {s["slice_index"]: s["image_score"] for s in slices if s["object_id"] == row["object_id"]}
        if row["status"] == "screened":
            assert row["max_score"] == max(own.values()) == own[row["max_slice"]]
        else:
            assert (row["max_score"], row["max_slice"], own) == (None, None, {})


def test_scores_and_maps_are_the_detectors_own(
    private_run: Run, archive: Archive, names: dict[str, str], embedded: Path
) -> None:
    torch.set_num_threads(1)
    detector = load_detector(embedded)
    for row in private_run.slices():
        data = (archive.folder / names[row["object_id"]]).read_bytes()
        picture = list(decode(data, DecodeSettings())[1])[row["slice_index"]]
        assert picture.pixels.shape[:2] == (row["rows"], row["cols"])
        out = detector.detect(np.stack(list(views(picture.pixels, detector.image_size, []))))
        assert row["image_score"] == pytest.approx(out.score.item(), abs=1e-5)
        assert row["family_scores"] == pytest.approx(out.family_scores[0].tolist(), abs=1e-5)
        stored = slice_maps(row).token_maps
        np.testing.assert_allclose(stored, out.token_map.numpy(), atol=1e-3)  # kept as float16
        expected = detector.full_map(
            torch.from_numpy(stored.astype(np.float32)), size=(row["rows"], row["cols"])
        )
        np.testing.assert_allclose(full_map(row), expected[0].numpy(), atol=1e-5)


def test_a_run_says_what_it_computes_in(
    embedded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default in what is quicker on this processor; so asked, the detector gives the same scores."""
    (source := tmp_path / "archive").mkdir()
    for seed in range(3):
        (source / f"{seed}.png").write_bytes(encoded(texture(90, 120, seed), "PNG"))
    run = screen(tmp_path, source, str(tmp_path / "out"), precision="auto", mode="open")
    chosen = last_run(run.output)["resources"]
    monkeypatch.setattr(attention, "_way", chosen["attention"])
    detector = load_detector(embedded, precision=chosen["precision"])
    scores = []
    for path in sorted(source.iterdir()):
        (picture,) = decode(path.read_bytes(), DecodeSettings())[1]
        pixels = next(views(picture.pixels, detector.image_size, []))
        scores.append(detector.detect(pixels[None]).score.item())
    assert sorted(row["image_score"] for row in run.slices()) == pytest.approx(sorted(scores), abs=1e-5)


def test_masks_have_the_size_of_their_slice_and_follow_their_map(private_run: Run) -> None:
    for row in private_run.slices():
        stored, heat = mask(row), full_map(row)
        assert stored.shape == heat.shape == (row["rows"], row["cols"])
        np.testing.assert_array_equal(stored, mask(row, row["threshold"]))
        assert row["area_fraction"] == pytest.approx(stored.mean(), abs=1e-6)
        assert row["map_max"] == pytest.approx(heat.max(), abs=1e-6)
        assert row["map_mean"] == pytest.approx(heat.mean(), abs=1e-5)


def test_codes_of_medical_slices_are_kept(private_run: Run, names: dict[str, str]) -> None:
    kinds = {names[row["object_id"]]: (row["modality"], row["plane"]) for row in private_run.slices()}
    assert kinds["doe^jane/ct.dcm"] == ("CT", "image")
    assert kinds["doe^jane/head.nii"] == ("", "axial")
    assert kinds["pictures/colour.png"] == ("", "image")


def test_the_run_file_adds_up(private_run: Run, archive: Archive) -> None:
    path = min(Path(private_run.output, "runs").glob("*.json"))
    run = json.loads(path.read_text())
    assert run["listed"] == len(archive.expected) == sum(run["by_status"].values())
    assert run["by_status"] == run["new"]
    assert run["by_status"] == {"screened": 7, "no_pixels": 0, "quarantined": 4, "deferred": 0}
    assert run["reasons"] == {"empty": 1, "truncated": 2, "unknown_format": 1}
    assert run["slices"] == run["views"] == len(private_run.slices())
    assert (run["missing"], run["duplicates"], run["exit_code"], run["outcome"]) == (0, 0, 0, "finished")
    assert {row["run_id"] for row in private_run.objects()} == {path.stem}
    assert {row["fingerprint"] for row in private_run.slices()} == {run["fingerprint"]}


def test_results_answer_sql(private_run: Run) -> None:
    worst = private_run.results.sql(
        "SELECT o.max_score, s.image_score FROM objects o JOIN slices s "
        "ON o.object_id = s.object_id AND o.max_slice = s.slice_index ORDER BY o.max_score DESC"
    ).fetchall()
    assert len(worst) == 7
    assert all(a == b for a, b in worst)


def test_nothing_is_left_behind(private_run: Run) -> None:
    left = sorted(
        path.name for path in Path(private_run.output).rglob("*") if path.name.startswith((".", "lease"))
    )
    assert left == []
    assert list(private_run.private.glob("*/work-*")) == []
