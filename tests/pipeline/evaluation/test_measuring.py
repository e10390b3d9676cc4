"""An evaluation's figures are those of the detector's own scores and maps, computed the plain way."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from s2sw.connectors.datasets import DataSet, DataSetError, Sample, open_dataset
from s2sw.connectors.datasets.pictures import fit_mask
from s2sw.model import build_bundle, load_detector
from s2sw.model.detectors.contract import Detector
from s2sw.model.heads.april_linear import LinearLayers
from s2sw.model.weights.clip import clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from s2sw.pipeline.evaluation.comparing import judge_of
from s2sw.pipeline.evaluation.figures import Evaluation
from s2sw.pipeline.evaluation.measuring import Measuring, measure
from tests.support import layouts, small_clip
from tests.support.bundles import SIDE


def evaluated(detector: Detector, data: DataSet, how: Measuring | None = None) -> Evaluation:
    return measure(detector, judge_of("small", detector), data, how or Measuring())


@pytest.fixture
def detector(bundles: list[Path]) -> Detector:
    return load_detector(bundles[0])


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    return open_dataset(layouts.mvtec(tmp_path / "metal"))


@pytest.mark.parametrize("resolution", ["model", "picture"])
def test_figures_are_the_plain_ones(detector: Detector, data: DataSet, resolution: str) -> None:
    found = evaluated(detector, data, Measuring(batch=4, resolution=resolution))
    side = detector.image_size if resolution == "model" else layouts.SIDE
    for group, samples in data.groups():
        labels = np.array([sample.anomalous for sample in samples])
        pictures = [np.array(Image.open(s.image).convert("RGB"))[None] for s in samples]
        outs = [detector.detect(picture) for picture in pictures]
        scores = np.array([float(out.score[0]) for out in outs])
        maps = np.concatenate([detector.full_map(out.token_map.numpy(), (side, side)) for out in outs])
        nothing = np.zeros((side, side), dtype=bool)
        own = [nothing if s.mask is None else np.asarray(Image.open(s.mask)) > 0 for s in samples]
        masks = np.stack([fit_mask(mask, side, side) for mask in own])
        figures = found.classes[group].figures()
        assert figures["image_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
        assert figures["image_ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-6)
        assert figures["pixel_auroc"] == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-5)
        assert figures["pixel_ap"] == pytest.approx(
            average_precision_score(masks.ravel(), maps.ravel()), abs=1e-5
        )
    classes = [result.figures()["pixel_aupro"] for result in found.classes.values()]
    assert found.mean()["pixel_aupro"] == pytest.approx(np.mean(classes))
    assert len(found.scored) == len(data.samples)


def test_worst_pictures_come_first(detector: Detector, data: DataSet) -> None:
    found = evaluated(detector, data, Measuring(shown=2))
    normal = sorted((one.score for one in found.scored if not one.anomalous), reverse=True)
    anomalous = sorted(one.score for one in found.scored if one.anomalous)
    assert [kept.scored.score for kept in found.false_alarms] == normal[:2]
    assert [kept.scored.score for kept in found.misses] == anomalous[:2]


def test_batches_and_reading_ahead_change_nothing(detector: Detector, data: DataSet) -> None:
    first, second = (evaluated(detector, data, Measuring(batch=size)) for size in (1, 5))
    assert first.record() == second.record()
    assert [one.score for one in first.scored] == [one.score for one in second.scored]


def test_sets_of_image_labels_or_of_masks_alone(detector: Detector, tmp_path: Path) -> None:
    root = layouts.mvtec(tmp_path, ("bolt",))
    (root / "bolt" / "ground_truth").rename(root / "elsewhere")
    images = evaluated(detector, open_dataset(root)).mean()
    assert images["image_auroc"] is not None
    assert images["pixel_auroc"] is None
    (root / "bolt" / "test" / "good").rename(root / "good")
    (root / "elsewhere").rename(root / "bolt" / "ground_truth")
    pixels = evaluated(detector, open_dataset(root)).mean()
    assert pixels["image_auroc"] is None
    assert pixels["pixel_aupro"] is not None


def test_a_mask_decides_where_no_label_does(detector: Detector, tmp_path: Path) -> None:
    layouts.picture(tmp_path / "a.png", 1)
    layouts.mask(tmp_path / "full.png")
    layouts.mask(tmp_path / "none.png", value=0)
    (tmp_path / "list.csv").write_text("image,mask\na.png,full.png\na.png,none.png\n")
    found = evaluated(detector, open_dataset(tmp_path / "list.csv"))
    assert [one.anomalous for one in found.scored] == [True, False]


def test_some_masks_are_not_enough(detector: Detector, data: DataSet) -> None:
    first = data.samples[0]
    lacking = Sample(first.group, first.name, first.image, None, first.anomalous)
    with pytest.raises(DataSetError, match=r"bolt: .*000.jpg is anomalous and has no mask"):
        evaluated(detector, DataSet("d", [lacking, *data.samples[1:]]))


def test_scores_that_are_not_finite(bundles: list[Path], data: DataSet) -> None:
    broken = load_detector(bundles[0])
    broken.vectors[:] = np.nan  # type: ignore[attr-defined]
    with pytest.raises(DataSetError, match=r"000.jpg: the detector's score is not finite"):
        evaluated(broken, data)


def test_classes_take_their_own_names(data: DataSet, tmp_path: Path) -> None:
    """A detector with vectors for several class names is asked for each picture's own."""
    weights = clip_from_tensors(small_clip.state_dict(), "small.pt", LoadOptions("quick_gelu"))
    draw = torch.Generator().manual_seed(0)
    linear = LinearLayers(
        torch.randn(4, small_clip.JOINT, small_clip.WIDTH, generator=draw), torch.zeros(4, small_clip.JOINT)
    )
    folder = build_bundle(
        tmp_path / "bundle", weights, image_size=SIDE, detector="april_gan", class_name=("bolt", "nut"),
        linear=linear,
    )  # fmt: skip
    april = load_detector(folder)
    found = evaluated(april, data)
    one = next(scored for scored in found.scored if scored.group == "nut")
    picture = np.array(Image.open(data.samples[one.place].image).convert("RGB"))[None]
    assert one.score == pytest.approx(float(april.detect(picture, ["nut"]).score[0]), abs=1e-6)
    other = DataSet("d", [replace(sample, group="screw") for sample in data.samples])
    with pytest.raises(DataSetError, match=r"its class 'screw' is none of .* \(bolt, nut\)"):
        evaluated(april, other)
