"""Checks that a row of results is one that a run can write, before anything is computed from it.

Results may have been written or changed by somebody else. An invalid row is left out and counted;
``problem_of`` names the wrong column.
"""

import dataclasses
import datetime
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from s2sw.model.maps import MapLayer, token_count
from s2sw.pipeline.imaging.masks import COCO_RLE, PACKBITS_ZSTD
from s2sw.schemas import forms
from s2sw.schemas.codes import BODY_PARTS, MODALITIES, allowed
from s2sw.schemas.errors import FailedError
from s2sw.schemas.outcomes import Reason, Status

Row = dict[str, Any]
BAD_ROW = "bad_row"
"""Counted beside the reasons of outcomes: an invalid row."""
LARGEST_INT = 1 << 62
_LAYER_NAMES = {field.name for field in dataclasses.fields(MapLayer)}


class BadRowError(FailedError):
    """A row is not what a run writes; the message names its column."""


def sound(rows: list[Row]) -> tuple[list[Row], int]:
    """Return the valid rows, and the number of the others."""
    kept = [row for row in rows if problem_of(row) is None]
    return kept, len(rows) - len(kept)


def problem_of(row: Row) -> str | None:
    """Return the first invalid column of a row, which may lack columns; None for a valid row."""
    for name, value in row.items():
        check = _CHECKS.get(name)
        if check is not None and not check(value):
            return name
    if "slice_index" in row and "n_slices" in row and row["slice_index"] >= row["n_slices"]:
        return "slice_index"
    if "rows" in row and "cols" in row and row["rows"] * row["cols"] > forms.PIXELS:
        return "cols"
    if "token_map" in row and "rows" in row:
        return _map_problem(row)
    return None


def check_whole(row: Row) -> None:
    """Raise BadRowError unless a map or mask of a row's size may be made as one array."""
    for name in ("rows", "cols"):
        if not _CHECKS[name](row[name]):
            raise bad_row(name)
    if row["rows"] * row["cols"] > forms.WHOLE_PIXELS:
        raise BadRowError(
            f"this row has {row['rows']} x {row['cols']} pixels: one array holds at most "
            f"{forms.WHOLE_PIXELS}; read its map with slice_maps(row).strips()"
        )


def bad_row(name: str) -> BadRowError:
    """Return the error that says which column is wrong."""
    return BadRowError(f"the column {name} of this row is not what a run writes; the row cannot be used")


def map_problem(row: Row) -> str | None:
    """Return the column that makes the map of a row invalid or too large, None for a valid row."""
    for name in ("rows", "cols", "tiles", "token_map"):
        if not _CHECKS[name](row[name]):
            return name
    return "cols" if row["rows"] * row["cols"] > forms.PIXELS else _map_problem(row)


def layers_of(row: Row) -> tuple[MapLayer, ...]:
    """Return the layers of a row's token map."""
    ordinary = [{name: row[name] for name in ("grid", "side", "smooth")}]
    described = [{name: layer[name] for name in _LAYER_NAMES} for layer in row.get("map_layers") or ()]
    return tuple(MapLayer(**layer) for layer in described or ordinary)


def bounded_columns(table: str) -> str:
    """Return SQL for all columns of a table, with NULL for values that are too large to load."""
    return f"{table}.* REPLACE ({', '.join(bounded(table, name) for name in _SIZES)})"


def bounded(table: str, name: str, most: int | None = None) -> str:
    """Return the same SQL for one of the columns that may be too large; most: bytes, if fewer are wanted."""
    column = f"{table}.{name}"
    fits = _SIZES[name].format(column) if most is None else f"octet_length({column}) <= {most:d}"
    return f"CASE WHEN {fits} THEN {column} END AS {name}"


def sound_table(table: pa.Table) -> tuple[pa.Table, int]:
    """Return the rows of a table with valid scores, statuses and reasons, and the number of the others."""
    rules = [rule for name, rule in _COLUMN_RULES.items() if name in table.column_names]
    kept = table
    for rule in rules:
        kept = kept.filter(rule)
    return kept, len(table) - len(kept)


def _map_problem(row: Row) -> str | None:
    """Return the column by which the token map cannot be brought to the slice's size."""
    several = row.get("map_layers")
    if several and not (_CHECKS["map_layers"](several) and all(map(_is_one_of_several, several))):
        return "map_layers"
    if not several and not _is_layer({name: row[name] for name in ("grid", "side", "smooth")}):
        return "grid"
    layers = layers_of(row)
    longest = max(row["rows"], row["cols"])
    if any(at.logit and at.side * longest > forms.OPERATOR_NUMBERS for at in layers):
        return "map_layers"
    tiles = row["tiles"]
    for place in range(0, len(tiles), 4):
        left, top, right, bottom = tiles[place : place + 4]
        if not (0 <= left < right <= row["cols"] and 0 <= top < bottom <= row["rows"]):
            return "tiles"
    numbers = (1 + len(tiles) // 4) * token_count(layers)
    if len(row["token_map"]) != 2 * numbers:
        return "token_map"
    zero_shot = row.get("zero_shot_map")
    return None if zero_shot is None or len(zero_shot) == 2 * numbers else "zero_shot_map"


def _is_one_of_several(layer: object) -> bool:
    return isinstance(layer, dict) and layer.keys() >= _LAYER_NAMES and _is_layer(layer)


def _is_layer(layer: Row) -> bool:
    """Tell whether grid, side and smooth, and of one of several layers the rest, are within bounds."""
    switches = [layer.get(name, False) for name in ("smooth", "corners", "logit")]
    weight = layer.get("weight", 1.0)
    return (
        _whole(layer.get("grid"), 1, forms.GRID)
        and _whole(layer.get("side"), 1, forms.INPUT_SIDE)
        and all(type(switch) is bool for switch in switches)
        and type(weight) is float
        and abs(weight) <= forms.WEIGHT  # false for not-a-number
    )


def _whole(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _between(low: int, high: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and low <= value <= high


def _share(value: object) -> bool:
    return type(value) is float and 0 <= value <= 1


def _finite(value: object) -> bool:
    return type(value) is float and math.isfinite(value)


def _optional(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or check(value)


def _one_of(*known: str) -> Callable[[object], bool]:
    return frozenset(known).__contains__


def _shaped(pattern: Any) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _shown(value: object) -> bool:
    return isinstance(value, str) and len(value) <= forms.SHOWN_CHARACTERS and value.isprintable()


def _code(codes: frozenset[str]) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, str) and len(value) < 20 and allowed(value, codes) in (value, "other")
    )


def _blob(most: int) -> Callable[[object], bool]:
    return lambda value: type(value) is bytes and len(value) <= most


def _tiles(value: object) -> bool:
    return (
        type(value) is list
        and len(value) % 4 == 0
        and len(value) <= 4 * forms.TILES
        and all(type(edge) is int for edge in value)
    )


def _shares(value: object) -> bool:
    return type(value) is list and len(value) <= forms.FAMILIES and all(map(_share, value))


def _places(value: object) -> bool:
    return (
        type(value) is list
        and len(value) <= forms.SIMILAR_PICTURES
        and all(one and forms.is_object_id(one["object_id"]) and _INDEX(one["slice_index"]) for one in value)
    )


def _numbers(count: int) -> Callable[[object], bool]:
    return lambda value: type(value) is list and len(value) == count and all(map(_finite, value))


_SIZES = {
    "mask": f"octet_length({{}}) <= {forms.MASK_BYTES}",
    "token_map": f"octet_length({{}}) <= {forms.TOKEN_BYTES}",
    "zero_shot_map": f"octet_length({{}}) <= {forms.TOKEN_BYTES}",
    "tiles": f"len({{}}) <= {4 * forms.TILES}",
    "family_scores": f"len({{}}) <= {forms.FAMILIES}",
    "map_layers": f"len({{}}) <= {forms.LAYERS}",
    "similar_pictures": f"len({{}}) <= {forms.SIMILAR_PICTURES}",
    **dict.fromkeys(("pixel_spacing", "image_position", "image_orientation"), "len({}) <= 6"),
}
"""Of wide columns the condition, in SQL, under which a value is held at all."""
_COUNT = _between(0, LARGEST_INT)
_INDEX = _between(0, forms.LARGEST_INDEX)
_SIZE = _between(1, forms.SIDE)
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "object_id": forms.is_object_id,
    "run_id": forms.is_run_id,
    "fingerprint": _shaped(forms.FINGERPRINT),
    **dict.fromkeys(("study_id", "series_id", "instance_id", "case_id"), _optional(forms.is_object_id)),
    "slice_index": _COUNT,
    "n_slices": _COUNT,
    "rows": _SIZE,
    "cols": _SIZE,
    "plane": _shaped(forms.WORDS),
    "applied": _shaped(forms.WORDS),
    "decoder": _shaped(forms.WORDS),
    "modality": _code(MODALITIES),
    "body_part": _code(BODY_PARTS),
    "class_name": _optional(_shown),
    **dict.fromkeys(("image_score", "map_max", "map_mean", "area_fraction", "threshold"), _share),
    "family_scores": _shares,
    "mask": _blob(forms.MASK_BYTES),
    "mask_encoding": _one_of(COCO_RLE, PACKBITS_ZSTD),
    "token_map": _blob(forms.TOKEN_BYTES),
    "zero_shot_map": _optional(_blob(forms.TOKEN_BYTES)),
    "tiles": _tiles,
    "map_layers": _optional(lambda value: type(value) is list and 0 < len(value) <= forms.LAYERS),
    "status": _one_of(*Status),
    "reason": _optional(_one_of(*Reason)),
    **dict.fromkeys(("max_score", "rank_score", "max_rank_score", "score"), _optional(_share)),
    **dict.fromkeys(("max_slice", "max_rank_slice"), _optional(_COUNT)),
    "group": _optional(_shaped(forms.WORDS)),
    "similar_pictures": _optional(_places),
    **dict.fromkeys(("rarity_score", "brightness", "sharpness", "instance_number"), _optional(_finite)),
    "pixel_spacing": _optional(_numbers(2)),
    "image_position": _optional(_numbers(3)),
    "image_orientation": _optional(_numbers(6)),
    "bytes": _COUNT,
    "attempts": _COUNT,
    "uri": _optional(lambda value: isinstance(value, str) and 0 < len(value) <= forms.URI_CHARACTERS),
    "site": _optional(_shaped(forms.SITE)),
    "date": _optional(lambda value: type(value) is datetime.date),
    "flag_threshold": _optional(_finite),
}
"""Of each column whether a value is one that a run writes."""
_COLUMN_RULES: dict[str, pc.Expression] = {
    # not-a-number is neither
    "image_score": (pc.field("image_score") >= 0) & (pc.field("image_score") <= 1),
    "status": pc.field("status").isin([status.value for status in Status]),
    "reason": pc.field("reason").is_null() | pc.field("reason").isin([reason.value for reason in Reason]),
}
