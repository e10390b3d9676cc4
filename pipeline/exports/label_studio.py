"""Label Studio: pictures, and tasks with the masks as predictions, to be corrected there.

Format: "Import pre-annotated data into Label Studio" (https://labelstud.io/guide/predictions) and the tag
BrushLabels, whose run lengths ``brush_rle`` writes.
"""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from s2sw.connectors.slices import Slice
from s2sw.pipeline.exports.brush_rle import encode_brush
from s2sw.pipeline.exports.cases import Case, Finding, Mask
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.imaging.encoding import png_bytes
from s2sw.schemas.tables import rank_of

Json = dict[str, Any]

TASKS, CONFIG = "tasks.json", "label_config.xml"
LABEL = "anomaly"
SERVED = "/data/local-files/?d=images/"
"""Where Label Studio serves local files from, if its document root is the folder of the export."""
_CONFIG = f"""<View>
  <Image name="image" value="$image" zoom="true"/>
  <BrushLabels name="regions" toName="image">
    <Label value="{LABEL}" background="#bd0026"/>
  </BrushLabels>
  <Choices name="verdict" toName="image" choice="single">
    <Choice value="accept"/><Choice value="reject"/><Choice value="unsure"/>
  </Choices>
</View>
"""


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write ``images/*.png``, ``tasks.json`` to import, and the labelling configuration of the project."""
    tasks = []
    for case in cases:
        for stem, data, task in reader.made(case, partial(_made, case=case, options=options)):
            folder.write(f"images/{stem}.png", data)
            tasks.append(task)
    tasks.sort(key=lambda task: task["data"]["rank"])
    folder.write(CONFIG, _CONFIG.encode())
    folder.write(TASKS, json.dumps(tasks).encode())
    return len(tasks)


def _made(finding: Finding, picture: Slice, case: Case, options: Options) -> tuple[str, bytes, Json]:
    return finding.stem, png_bytes(picture.pixels), _task(finding, case, options)


def _task(finding: Finding, case: Case, options: Options) -> Json:
    row, mask = finding.row, finding.mask()
    data = {
        "image": f"{SERVED}{finding.stem}.png",
        "rank": finding.rank,
        "object_id": row["object_id"],
        "slice_index": row["slice_index"],
        "modality": row["modality"],
        "image_score": row["image_score"],
        "rank_score": row["rank_score"],
        **({"address": case.uri} if Reveal.NAMES in options.reveals and case.uri else {}),
    }
    prediction = {
        "model_version": f"{options.detector} {options.fingerprint[:8]}",
        "score": rank_of(row),
        "result": [_brush(finding, mask)] if mask.any() else [],
    }
    return {"data": data, "predictions": [prediction]}


def _brush(finding: Finding, mask: Mask) -> Json:
    return {
        "id": finding.stem,
        "from_name": "regions",
        "to_name": "image",
        "type": "brushlabels",
        "original_width": finding.row["cols"],
        "original_height": finding.row["rows"],
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush(mask), "brushlabels": [LABEL]},
    }
