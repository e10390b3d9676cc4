"""The other detectors of the family through the whole pipeline, into one output."""

import functools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2sw.model import build_ensemble, load_detector
from s2sw.pipeline.imaging.tiles import boxes_of, views
from s2sw.pipeline.results.reading import full_map, mask, open_results
from s2sw.pipeline.run.job import prepare
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.run.run import ScreeningRun
from s2sw.schemas.config import ClusterSettings, ScreenConfig
from s2sw.schemas.errors import UserError
from s2sw.schemas.run_record import RunSummary
from tests.support.archives import encoded, texture
from tests.support.family import build_family

pytestmark = pytest.mark.integration

CLUSTER = ClusterSettings(workers=1, actors=1, object_store=200 << 20)
PICTURES = {"bolt/1.png": 1, "nut/2.png": 2, "nut/inner/3.png": 3, "other/4.png": 4}
KINDS = ("anomalyclip", "april_gan", "winclip", "ensemble")
BY_FOLDER = {"folders": True}
TILED = "bolt/1.png"
"""The one picture that is larger than a tile."""


def pixels(name: str) -> np.ndarray:
    side = 120 if name == TILED else 70
    return texture(side, side + 10, PICTURES[name])


def configured(folder: Path, bundle: Path, **more: Any) -> ScreenConfig:
    return ScreenConfig(
        source=str(folder / "archive"), output=str(folder / "out"), private_dir=str(folder / "private"),
        bundle=str(bundle), mode="open", batch_size=3, tiles={"size": 90}, cluster=CLUSTER, **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Screen a small archive with each detector, twice."""
    folder = tmp_path_factory.mktemp("family")
    for name in PICTURES:
        path = folder / "archive" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pixels(name), "PNG"))
    bundles = build_family(folder / "bundles")
    bundles["ensemble"] = build_ensemble(
        folder / "bundles/ensemble", {bundles["s2swclip"]: 1, bundles["april_gan"]: 2}
    )
    configs = {
        name: configured(folder, bundle, classes=BY_FOLDER if load_detector(bundle).class_names else {})
        for name, bundle in bundles.items()
        if name in KINDS
    }

    def run(name: str) -> RunSummary:
        job = prepare(configs[name])
        return ScreeningRun(job, plan_resources(CLUSTER, "cpu")).execute()

    first = {name: run(name) for name in configs}
    again = {name: run(name) for name in configs}
    return {"folder": folder, "bundles": bundles, "first": first, "again": again}


@pytest.mark.parametrize("kind", KINDS)
def test_all_is_accounted_for_and_nothing_done_twice(screened: dict[str, Any], kind: str) -> None:
    """What one detector has done counts for no other, though all write into one output."""
    first, again = screened["first"][kind], screened["again"][kind]
    without_class = 1 if kind in ("april_gan", "winclip", "ensemble") else 0
    assert (first.exit_code, first.already_done) == (0, 0)
    assert (first.new["screened"], first.new["quarantined"]) == (4 - without_class, without_class)
    assert Counter(first.reasons) == Counter({"no_class": 1} if without_class else {})
    assert (again.exit_code, again.already_done, sum(again.new.values())) == (0, 4, 0)
    assert first.fingerprint == again.fingerprint


def test_fingerprints_differ(screened: dict[str, Any]) -> None:
    assert len({summary.fingerprint for summary in screened["first"].values()}) == len(KINDS)


@functools.lru_cache(maxsize=1)
def tables(output: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    results = open_results(output, fingerprint="all")
    uris = {row["object_id"]: row["uri"] for row in results.objects().to_pylist()}
    return results.slices().to_pylist(), uris


@pytest.mark.parametrize("kind", KINDS)
def test_rows_rebuild_what_the_detector_gives(screened: dict[str, Any], kind: str) -> None:
    slices, uris = tables(str(screened["folder"] / "out"))
    detector = load_detector(screened["bundles"][kind])
    rows = [row for row in slices if row["fingerprint"] == screened["first"][kind].fingerprint]
    assert len(rows) == (3 if detector.class_names else 4)
    for row in rows:
        name = str(Path(uris[row["object_id"]]).relative_to(screened["folder"] / "archive"))
        assert row["class_name"] == (Path(name).parts[0] if detector.class_names else None)
        boxes = boxes_of(row["tiles"])
        assert bool(boxes) == (name == TILED)
        seen = np.stack(list(views(pixels(name), detector.image_size, boxes)))
        out = detector.detect(seen, [row["class_name"]] * len(seen) if row["class_name"] else None)
        best = int(out.score.argmax())
        assert row["image_score"] == pytest.approx(out.score[best].item(), abs=1e-5)
        assert row["family_scores"] == pytest.approx(out.family_scores[best].tolist(), abs=1e-5)
        size = row["rows"], row["cols"]
        whole = detector.full_map(out.token_map[:1], size)[0].numpy()
        stored = full_map(row)
        assert stored.shape == size
        if not boxes:
            np.testing.assert_allclose(stored, whole, atol=1e-3)  # kept as float16
        assert (stored >= whole - 1e-3).all()
        assert row["map_max"] == pytest.approx(stored.max(), abs=1e-6)
        np.testing.assert_array_equal(mask(row), stored >= row["threshold"])


def test_a_bundle_with_class_names_needs_a_rule(screened: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="class names bolt, nut; say which object is of which"):
        prepare(configured(screened["folder"], screened["bundles"]["winclip"]))
    with pytest.raises(UserError, match="asks for no class names; leave classes out"):
        prepare(configured(screened["folder"], screened["bundles"]["s2swclip"], classes={"name": "nut"}))
