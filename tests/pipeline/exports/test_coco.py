"""COCO JSON as pycocotools reads it."""

from collections import defaultdict
from pathlib import Path

import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

from s2sw.pipeline.exports.coco import run_lengths
from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.results.reading import mask
from tests.pipeline.exports.exported import export, rows_of
from tests.support.screened import VOLUME_SLICES, Screened


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_regions_are_the_mask_at_the_threshold(
    private_archive: Screened, folder: Path, threshold: float | None
) -> None:
    exported = export(private_archive, "coco", folder, top=12, threshold=threshold)
    found = COCO(folder / "coco.json")
    rows = rows_of(private_archive)
    assert exported.written == len(found.imgs) == 12
    assert len(found.anns) > 12
    masks: dict[int, list[np.ndarray]] = defaultdict(list)
    for annotation in found.anns.values():
        region = found.annToMask(annotation)
        masks[annotation["image_id"]].append(region)
        down, across = np.nonzero(region)
        assert annotation["area"] == region.sum() > 0
        box = [across.min(), down.min(), np.ptp(across) + 1, np.ptp(down) + 1]
        assert annotation["bbox"] == [int(edge) for edge in box]
        assert (threshold or 0.5) <= annotation["score"] <= 1
    for number, image in found.imgs.items():
        row = rows[image["object_id"], image["slice_index"]]
        expected = mask(row, threshold)
        assert expected.shape == (image["height"], image["width"])
        together = np.sum(masks[number] or [np.zeros_like(expected, np.uint8)], axis=0)
        np.testing.assert_array_equal(together, expected)  # regions do not overlap


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_run_lengths_of_a_region_are_those_of_the_whole_picture(region: NDArray[np.bool_]) -> None:
    hypothesis.assume(region.any())
    whole = np.zeros((15, 17), np.uint8)
    whole[2 : 2 + len(region), 3 : 3 + region.shape[1]] = region
    expected = coco.encode(np.asfortranarray(whole))
    assert run_lengths(region, 2, 3, (15, 17)) == {**expected, "counts": expected["counts"].decode()}


def test_the_highest_scores_are_chosen_and_ranked(private_archive: Screened, folder: Path) -> None:
    export(private_archive, "coco", folder, top=7)
    images = sorted(COCO(folder / "coco.json").imgs.values(), key=lambda image: image["rank"])
    scores = sorted((row["image_score"] for row in rows_of(private_archive).values()), reverse=True)
    assert [image["image_score"] for image in images] == pytest.approx(scores[:7])


def test_a_least_score_is_kept_to(private_archive: Screened, folder: Path) -> None:
    scores = sorted(row["image_score"] for row in rows_of(private_archive).values())
    exported = export(private_archive, "coco", folder, top=None, min_score=scores[20])
    assert exported.written == len(scores) - 20


def test_private_results_name_ids_and_open_ones_addresses(
    private_archive: Screened, open_archive: Screened, folder: Path
) -> None:
    export(private_archive, "coco", folder, top=3)
    export(open_archive, "coco", folder / "open", top=None)
    private = {image["file_name"] for image in COCO(folder / "coco.json").imgs.values()}
    assert {name.split("-")[1] for name in private} <= set(private_archive.ids.values())
    assert str(private_archive.archive) not in (folder / "coco.json").read_text()
    found = COCO(folder / "open/coco.json").imgs.values()
    for image in found:
        assert Path(image["file_name"]).is_relative_to(open_archive.archive.resolve())
    assert len({image["file_name"] for image in found}) == len(found)
    volume = {image["file_name"].partition("#")[2] for image in found if ".nii" in image["file_name"]}
    assert volume == {str(number) for number in range(1, VOLUME_SLICES + 1)}


def test_pictures_that_were_asked_for_have_the_size_of_their_masks(
    private_archive: Screened, folder: Path
) -> None:
    export(private_archive, "coco", folder, Reveal.PIXELS, top=20)
    images = COCO(folder / "coco.json").imgs.values()
    assert len({image["file_name"] for image in images}) == 20
    for image in images:
        with Image.open(folder / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])


def test_torchvision_reads_pictures_and_regions(private_archive: Screened, folder: Path) -> None:
    from torchvision.datasets import CocoDetection  # here: slow to import, in every process of the tests

    exported = export(private_archive, "coco", folder, Reveal.PIXELS, top=6)
    found = CocoDetection(str(folder / "images"), str(folder / "coco.json"))
    assert len(found) == exported.written == 6
    for picture, regions in found:
        for region in regions:
            assert found.coco.annToMask(region).shape == picture.size[::-1]
