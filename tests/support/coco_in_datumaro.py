"""Print what datumaro reads of a COCO export, as JSON: coco_in_datumaro.py FOLDER. Run by its own Python.

Sizes of pictures, and areas of masks; it makes each box an annotation of its own.
"""

import json
import sys
from pathlib import Path

SCRIPT = Path(__file__)

if __name__ == "__main__":
    from datumaro.components.dataset import Dataset

    read = Dataset.import_from(sys.argv[1], "coco_instances")
    found = {
        item.id: [
            list(item.media.size),
            [int(one.get_area()) for one in item.annotations if one.type.name == "mask"],
        ]
        for item in read
    }
    print(json.dumps(found))  # noqa: T201 (the answer)
