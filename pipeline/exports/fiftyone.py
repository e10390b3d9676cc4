"""FiftyOne: a data set of pictures, maps as ``Heatmap`` and masks as ``Segmentation``.

Format: ``fiftyone.types.FiftyOneDataset`` in its form of one readable JSON file (``metadata.json`` without a
version, ``samples.json``, ``data/``, ``fields/``), which FiftyOne's importer takes and brings up to date.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from s2sw.connectors.slices import Slice
from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.imaging.encoding import png_bytes

Json = dict[str, Any]

INSIDE = 255  # value of a mask's pixels, so that they show in any viewer
_KEPT = ("object_id", "slice_index", "image_score", "rank_score", "map_max", "modality", "body_part", "plane")


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write the pictures, maps (8 bits, 0..255 for 0..1) and masks as PNG, and the two JSON files."""
    samples = []
    for case in cases:
        for finding, files in reader.made(case, _files):
            for name, data in files.items():
                folder.write(name, data)
            samples.append(_sample(finding, case, options))
    samples.sort(key=lambda sample: sample["rank"])
    metadata = {
        "name": f"s2sw-{options.fingerprint[:8]}",
        "media_type": "image",
        "info": {"detector": options.detector, "default_mask_targets": {str(INSIDE): "anomaly"}},
    }
    folder.write("metadata.json", json.dumps(metadata).encode())
    folder.write("samples.json", json.dumps({"samples": samples}).encode())
    return len(samples)


def _files(finding: Finding, picture: Slice) -> tuple[Finding, dict[str, bytes]]:
    heat, mask = finding.drawn()
    grey = np.rint(heat.clip(0, 1) * 255).astype(np.uint8)
    file = f"{finding.stem}.png"
    return finding, {
        f"data/{file}": png_bytes(picture.pixels),
        f"fields/anomaly_map/{file}": png_bytes(grey),
        f"fields/anomaly_mask/{file}": png_bytes(mask.astype(np.uint8) * INSIDE),
    }


def _sample(finding: Finding, case: Case, options: Options) -> Json:
    file = f"{finding.stem}.png"
    return {
        "filepath": f"data/{file}",
        "tags": [],
        "rank": finding.rank,
        **{name: finding.row[name] for name in _KEPT},
        **({"address": case.uri} if Reveal.NAMES in options.reveals and case.uri else {}),
        "anomaly_map": {"_cls": "Heatmap", "map_path": f"fields/anomaly_map/{file}", "range": [0, 255]},
        "anomaly_mask": {"_cls": "Segmentation", "mask_path": f"fields/anomaly_mask/{file}"},
    }
