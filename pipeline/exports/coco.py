"""COCO JSON: a region of a mask an annotation, in COCO's compressed run lengths, as pycocotools reads them.

Format: the data format page of COCO (https://cocodataset.org/#format-data), object detection, and its
``segmentation`` as RLE.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.exports.regions import regions
from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.imaging.encoding import png_bytes

Json = dict[str, Any]

FILE = "coco.json"
IMAGES = "images"
CATEGORY = 1


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write ``coco.json``, and with pixels revealed ``images/*.png``, to which it then refers.

    ``file_name`` is of one slice alone, as readers of COCO expect: the picture's, with pixels or without;
    where names are revealed and there are no pictures, the object's address, with ``#`` and the slice's
    number behind it if the object has several.
    """
    images: list[Json] = []
    annotations: list[Json] = []
    for case in cases:
        files = _write_pictures(case, reader, folder) if Reveal.PIXELS in options.reveals else {}
        for finding in case.findings:
            with reader.counting([finding]):
                regions = list(_regions(finding))
                file = files.get(finding.rank) or _name(finding, case, options)
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


def _name(finding: Finding, case: Case, options: Options) -> str:
    """Return a name that no other slice has."""
    if Reveal.NAMES not in options.reveals or not case.uri:
        return f"{finding.stem}.png"
    return case.uri if finding.row["n_slices"] == 1 else f"{case.uri}#{finding.row['slice_index'] + 1}"


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
    shape = (finding.row["rows"], finding.row["cols"])
    for region in regions(finding):
        yield {
            "category_id": CATEGORY,
            "segmentation": run_lengths(region.inside, region.top, region.left, shape),
            "bbox": list(region.box),
            "area": region.pixels,
            "iscrowd": 0,
            "score": round(region.score, 6),
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
