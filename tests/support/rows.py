"""Result rows as the stages hand them over, for tests that need no detector."""

import numpy as np

from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.pipeline.stages.wire import END
from s2sw.schemas.outcomes import Reason, Status, status_of
from s2sw.schemas.tables import Row


def made_id(run_id: str, number: int) -> str:
    """Return an id of the form that runs give, which sorts by run and number and names nobody."""
    digits = run_id.replace("T", "").replace("-", "")
    run = "".join(chr(ord("a") + int(digit, 16)) for digit in digits)
    places = (number // 26**place % 26 for place in range(5, -1, -1))
    return run + "".join(chr(ord("a") + place) for place in places)


def slice_row(number: int, index: int, score: float = 0.5, reason: Reason | None = None) -> Row:
    """Return a scored slice, or one that the detector could not score."""
    row = {
        "object": number, "slice_index": index, "plane": "frame", "rows": 4, "cols": 6, "tiles": [],
        "modality": "CT", "body_part": "", "applied": "window", "detect_seconds": 0.25, "reason": reason,
    }  # fmt: skip
    if reason is not None:
        return row
    return row | {
        "image_score": score, "family_scores": [score] * 4, "map_max": 0.5, "map_mean": 0.25,
        "area_fraction": 0.0, "mask": b"h0", "mask_encoding": "coco_rle", "grid": 2, "side": 28,
        "smooth": True, "token_map": np.full((1, 2, 2), 0.25, np.float16).tobytes(),
    }  # fmt: skip


def end_row(number: int, slices: int, reason: Reason | None = None) -> Row:
    """Return the row that ends an object."""
    return {
        "object": number, "slice_index": END, "n_slices": slices, "reason": reason, "decoder": "dicom",
        "status": status_of(reason) if reason else Status.SCREENED, "attempts": 1, "decode_seconds": 0.5,
    }  # fmt: skip


def screened(number: int, *scores: float) -> FinishedObject:
    """Return a screened object with a slice for every score."""
    rows = [slice_row(number, i, score) for i, score in enumerate(scores)]
    return FinishedObject(number, Status.SCREENED, None, "dicom", 1, rows)


def quarantined(number: int, reason: Reason = Reason.TRUNCATED) -> FinishedObject:
    """Return an object that could not be screened."""
    return FinishedObject(number, status_of(reason), reason, "png", 1)


def stored(number: int, modified: float = 0.0) -> StoredObject:
    """Return a listed object that names a person."""
    return StoredObject(f"/archive/doe^jane/{number:05}.dcm", 100 + number, f"etag-{number}", modified)
