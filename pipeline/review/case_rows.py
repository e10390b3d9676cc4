"""Whether a row of a list of cases is one of ours: whoever may write to an output may write any."""

import math
from typing import Any

from s2sw.pipeline.results.checking import problem_of
from s2sw.schemas.forms import is_object_id
from s2sw.schemas.tables import Row

_LEVELS = ("patient", "study", "series", "case", "object")


def is_sound(case: Row) -> bool:
    """Tell whether a list of ours may hold this row."""
    if not (_all_there(case["worst"]) and _all_there(case["findings"])):
        return False
    known = {name: case[name] for name in ("case_id", "score", "group", "fingerprint", "run_id")}
    places = [
        *((one["object_id"], one["slice_index"]) for one in case["worst"]),
        *((one["object_id"], one["worst_slice"]) for one in case["findings"]),
        *((one["first_object"], one["first_slice"]) for one in case["findings"]),
        *((one["last_object"], one["last_slice"]) for one in case["findings"]),
    ]
    numbers = [one[name] for one in case["findings"] for name in ("score", "weight", "pixels", "slices")]
    return (
        problem_of(known) is None
        and is_object_id(case["case_id"])
        and case["level"] in _LEVELS
        and bool(case["worst"])
        and all(type(case[name]) is int for name in ("rank", "n_objects", "n_slices", "n_findings"))
        and all(is_object_id(object_id) and type(index) is int and index >= 0 for object_id, index in places)
        and all(type(one) in (int, float) and math.isfinite(one) for one in numbers)
        and all(case[name] is None or is_share(case[name]) for name in ("p_value", "q_value", "q_group"))
        and (case["earlier_run"] is None) == (case["earlier_score"] is None)
        and (case["earlier_run"] is None or problem_of({"run_id": case["earlier_run"]}) is None)
    )


def _all_there(found: Any) -> bool:
    """Tell whether this is a list without nulls; whoever writes a table may declare its columns nullable."""
    return isinstance(found, list) and all(isinstance(one, dict) for one in found)


def is_share(value: Any) -> bool:
    """Tell whether this is a number within 0..1."""
    return isinstance(value, float) and 0 <= value <= 1
