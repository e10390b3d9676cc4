"""COCO JSON: a region of a mask an annotation, in COCO's compressed run lengths, as pycocotools reads them.

Format: the data format page of COCO (https://cocodataset.org/#format-data), object detection, and its
``segmentation`` as RLE.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from pycocotools import mask as coco

from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.imaging.encoding import png_bytes

Json = dict[str, Any]

FILE = "coco.json"
IMAGES = "images"
CATEGORY = 1
_NEIGHBOURS = np.ones((3, 3), np.int8)  # regions that touch at a corner are one


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write ``coco.json``, and with pixels revealed ``images/*.png``, to which it then refers.

    Without pictures ``file_name`` is the address of the object, or its id where addresses stay inside.
    """
    images: list[Json] = []
    annotations: list[Json] = []
    for case in cases:
        files = _write_pictures(case, reader, folder) if Reveal.PIXELS in options.reveals else {}
        for finding in case.findings:
            with reader.counting([finding]):
                regions = list(_regions(finding))
                file = files.get(finding.rank, options.name_of(case))
                images.append(_image(len(images) + 1, finding, file))
                for region in regions:
                    annotations.append({"id": len(annotations) + 1, "image_id": len(images), **region})
    document = {
        "info": {
            "description": f"anomalies found by {options.detector}",
            "version": options.fingerprint,
        },
        "categories": [{"id": CATEGORY, "name": "anomaly", "supercategory": "anomaly"}],
        "images": images,
        "annotations": annotations,
    }
    folder.write(FILE, json.dumps(document).encode())
    return len(images)


def _write_pictures(case: Case, reader: Reader, folder: Folder) -> dict[int, str]:
    """Return the names of the pictures written, by the rank of their finding."""
    files = {}
    for finding, pixels in reader.pictures(case):
        files[finding.rank] = f"{finding.stem}.png"
        folder.write(f"{IMAGES}/{finding.stem}.png", png_bytes(pixels))
    return files


def _image(number: int, finding: Finding, file: str) -> Json:
    row = finding.row
    kept = (
        "object_id",
        "slice_index",
        "n_slices",
        "image_score",
        "rank_score",
        "modality",
        "body_part",
        "plane",
    )
    return {
        "id": number,
        "file_name": file,
        "width": row["cols"],
        "height": row["rows"],
        "rank": finding.rank,
        **{name: row[name] for name in kept},
    }


def _regions(finding: Finding) -> Iterator[Json]:
    """Yield the connected regions of a mask; score is the highest value of the map in the region."""
    heat, mask = finding.drawn()
    labels, _ = scipy.ndimage.label(mask, _NEIGHBOURS)
    for number, box in enumerate(scipy.ndimage.find_objects(labels), start=1):
        region = labels[box] == number
        down, across = box
        yield {
            "category_id": CATEGORY,
            "segmentation": run_lengths(region, down.start, across.start, labels.shape),
            "bbox": [across.start, down.start, across.stop - across.start, down.stop - down.start],
            "area": int(region.sum()),
            "iscrowd": 0,
            "score": round(float(heat[box][region].max()), 6),
        }


def run_lengths(region: NDArray[np.bool_], top: int, left: int, shape: tuple[int, int]) -> Json:
    """Return COCO's compressed run lengths of a picture (rows, cols) that holds a region at a place.

    Made from the region alone: a picture may have thousands of them.
    """
    rows, cols = shape
    across, down = np.nonzero(region.T)  # column by column, as COCO counts
    pixels = (across + left) * rows + down + top
    edges = np.flatnonzero(np.diff(pixels) > 1)
    starts, ends = pixels[np.r_[0, edges + 1]], pixels[np.r_[edges, len(pixels) - 1]] + 1
    turns = np.stack([starts, ends], axis=1).ravel()
    counts = np.diff(np.r_[0, turns, rows * cols]).tolist()
    encoded = coco.frPyObjects({"size": [rows, cols], "counts": counts}, rows, cols)
    return {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")}
