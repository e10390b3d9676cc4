"""Formats of the names in results, and upper bounds of their values.

Anybody who may write to an output may write any row. Readers check rows against these before they make a
path, a query or an array from them. Rows of runs meet them by the limits of decoding and of detectors.
"""

import re

OBJECT_ID = re.compile(r"[a-z2-7]{26}")
"""HMAC-SHA256 or SHA-256, base32, 130 bits of it (``s2sw.pipeline.privacy.ids``)."""
RUN_ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{6}", re.ASCII)
"""Second of the start, UTC, microsecond and a random digit."""
PART = re.compile(r"[A-Za-z0-9_-]+/([A-Za-z0-9_.=-]+/)*[A-Za-z0-9_-]+\.parquet")
"""The file of a part below an output; other files there are not ours."""
RUN_OF_A_DAY = (
    f"regexp_full_match(run_id, '{RUN_ID.pattern}') AND try_strptime(left(run_id, 8), '%Y%m%d') IS NOT NULL"
)
"""SQL of rows whose run has the form of a run's id, and started on a day that there is."""
FINGERPRINT = re.compile(r"[0-9a-f]{32}")
SITE = re.compile(r"[a-z0-9-]{1,100}")
WORDS = re.compile(r"[A-Za-z0-9_/ .-]{0,200}")
"""Text that the program itself writes, and codes."""
SHOWN_CHARACTERS = 200
"""Of a name that a bundle or a run gives."""
URI_CHARACTERS = 16_384

SIDE = 1 << 16
"""Rows or columns of a slice."""
PIXELS = 1 << 30
"""Of a slice: as many as ``Limits.frame_bytes`` lets through by default."""
WHOLE_PIXELS = 1 << 28
"""Of a map or mask that is held as one array: 1 GiB of float32. Larger ones are read strip by strip."""
INPUT_SIDE = 2048
"""Of a detector's input, pixels."""
GRID = 256
TOWER_GRID = 160
"""Patches per side of a tower: 2048 pixels have 146 of 14. Comparing all pairs takes 3 GiB."""
LAYERS = 64
TILES = 1 << 14
OPERATOR_NUMBERS = 1 << 25
"""Of one axis' way from a detector's input to a picture's side, where a sigmoid lies between."""
WEIGHT = 1e3
MASK_BYTES = (PIXELS >> 3) + (1 << 20)
TOKEN_BYTES = 64 << 20
FAMILIES = 256
LARGEST_INDEX = (1 << 31) - 1
"""Of a slice of an object: the column is int32."""
SIMILAR_PICTURES = 16
"""Pictures that are named beside a slice."""
PART_ROWS = 1 << 24
"""Of a part of a table, as its footer says."""
PART_BYTES = 1 << 36
"""Of the same, inflated."""
PART_VALUES = 1 << 28
"""Of the same, numbers in the lists of a column."""


def is_object_id(text: object) -> bool:
    """Tell whether this is the id of an object, study, series or instance."""
    return isinstance(text, str) and OBJECT_ID.fullmatch(text) is not None


def is_run_id(text: object) -> bool:
    """Tell whether this is the id of a run."""
    return isinstance(text, str) and RUN_ID.fullmatch(text) is not None
