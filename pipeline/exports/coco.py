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

from pipeline.exports.cases import Case, Finding
from pipeline.exports.folder import Folder
from pipeline.exports.images import png_bytes
from pipeline.exports.options import Options
from pipeline.exports.reading import Reader
from pipeline.exports.revealing import Reveal

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
            file = files.get(finding.rank, options.name_of(case))
            images.append(_image(len(images) + 1, finding, file))
            for region in _regions(finding):
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
    kept = ("object_id", "slice_index", "n_slices", "image_score", "modality", "body_part", "plane")
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
        region = labels == number
        encoded = coco.encode(np.asfortranarray(region, np.uint8))
        yield {
            "category_id": CATEGORY,
            "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")},
            "bbox": _box(box),
            "area": int(region.sum()),
            "iscrowd": 0,
            "score": _peak(heat, region),
        }


def _box(box: tuple[slice, ...]) -> list[int]:
    """Return left, top, width, height in pixels."""
    down, across = box
    return [across.start, down.start, across.stop - across.start, down.stop - down.start]


def _peak(heat: NDArray[np.float32], region: NDArray[np.bool_]) -> float:
    return round(float(heat[region].max()), 6)
