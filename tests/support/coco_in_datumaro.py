"""Print what datumaro reads of a COCO export, as JSON: coco_in_datumaro.py FOLDER. Run by its own Python."""

import json
import sys
from pathlib import Path

SCRIPT = Path(__file__)

if __name__ == "__main__":
    from datumaro.components.dataset import Dataset

    read = Dataset.import_from(sys.argv[1], "coco_instances")
    found = {
        item.id: [item.media.data.shape[:2], [int(one.get_area()) for one in item.annotations]]
        for item in read
    }
    print(json.dumps(found))  # noqa: T201 (the answer)
