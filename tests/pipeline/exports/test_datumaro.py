"""COCO exports as datumaro reads them."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from s2sw.pipeline.exports.revealing import Reveal
from tests.pipeline.exports.exported import export
from tests.support.client_programs import answer_of
from tests.support.coco_in_datumaro import SCRIPT
from tests.support.screened import Screened

pytestmark = pytest.mark.clients


def test_datumaro_reads_pictures_and_regions(private_archive: Screened, folder: Path, tmp_path: Path) -> None:
    export(private_archive, "coco", folder, Reveal.PIXELS, top=6)
    # the layout that datumaro looks for: annotations/instances_SUBSET.json, images/SUBSET
    laid = tmp_path / "laid"
    (laid / "annotations").mkdir(parents=True)
    (laid / "images").mkdir()
    (laid / "annotations/instances_top.json").symlink_to(folder / "coco.json")
    (laid / "images/top").symlink_to(folder / "images", target_is_directory=True)
    told = json.loads((folder / "coco.json").read_text())
    areas: dict[int, list[int]] = defaultdict(list)
    for one in told["annotations"]:
        areas[one["image_id"]].append(one["area"])
    found = json.loads(answer_of("datumaro", SCRIPT, laid).splitlines()[-1])
    assert len(found) == 6
    for image in told["images"]:
        shape, regions = found[Path(image["file_name"]).stem]
        assert shape == [image["height"], image["width"]]
        assert sorted(regions) == sorted(areas[image["id"]])
