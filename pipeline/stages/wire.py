"""What travels between the stages through Ray: row numbers and pixels, never a uri or a name."""

import numpy as np
import pyarrow as pa

from s2sw.schemas.tables import DECODE_COLUMNS, DETECT_COLUMNS, SLICES, Row

_NO_PIXELS = np.empty(0, np.uint8)

END = -1
"""slice_index of the row that ends an object; the rows of its slices may arrive before or after it."""

_OBJECT = [
    pa.field("object", pa.int64()),  # row number in the to-do list
    pa.field("slice_index", pa.int32()),
]
_SLICE = [SLICES.field(name).with_nullable(True) for name in DECODE_COLUMNS]  # END rows have none
_END = [
    pa.field("status", pa.string()),
    pa.field("reason", pa.string()),
    pa.field("n_slices", pa.int32()),
    pa.field("decoder", pa.string()),
    pa.field("attempts", pa.int16()),
    pa.field("decode_seconds", pa.float32()),
    pa.field("uids", pa.list_(pa.binary())),  # SHA-256 of study, series and instance UID: no key comes here
    pa.field("case", pa.string()),  # keyed name of the object's case, of slices too
]
_SCORES = [
    *(SLICES.field(name).with_nullable(True) for name in DETECT_COLUMNS),
    pa.field("detect_seconds", pa.float32()),
    pa.field("failure", pa.string()),  # why the detector failed on a slice, in our own words
]

# for a profile: the id of the slice's object, and the names of its groups; where one is built also the slice
# and its view (0: the whole, else a tile), since a sampled view or a defect is a row of its own
_SUBJECT = [
    pa.field("owner", pa.string()),
    pa.field("groups", pa.list_(pa.string())),
]
_VIEW = [
    pa.field("picture", pa.int32()),
    pa.field("view", pa.int32()),
    pa.field("tile_count", pa.int32()),  # tiles of the slice
]
# share of the view's area, mean change; area of the view: pixels as stored, mm^2 where known
_SEED = [
    pa.field("seed_size", pa.float32()),
    pa.field("seed_contrast", pa.float32()),
    pa.field("seed_pixels", pa.float64()),
    pa.field("seed_mm2", pa.float64()),
]

# the views of a slice, the whole and then its tiles: uint8 (1 + tiles, side, side), (..., 3) where coloured
DECODED = pa.schema(
    [*_OBJECT, *_SLICE, *_END, *_SUBJECT, *_VIEW, *_SEED, pa.field("pixels", pa.large_binary())]
)
"""Out of the decode stage: rows of slices with pixels, and one END row an object without."""

DETECTED = pa.schema([*_OBJECT, *_SLICE, *_END, *_SCORES])
"""Out of the detect stage: no pixels any more; END rows pass through, slices that fail carry a reason."""

SAMPLED = pa.schema(
    [
        *_OBJECT, *_END, *_SUBJECT, *_VIEW, *_SEED,
        pa.field("image_score", pa.float32()),
        pa.field("tokens", pa.binary()),  # the zero-shot map at the patches, float32
        pa.field("features", pa.large_binary()),  # s2sw.pipeline.stages.sampling.pack
        pa.field("detect_seconds", pa.float32()),
        pa.field("failure", pa.string()),
    ]
)  # fmt: skip
"""Out of the detect stage where a profile is built: what a bank keeps of a slice."""


def decoded_table(rows: list[Row]) -> pa.Table:
    """Return the rows as a table of schema DECODED; "pixels" are uint8 arrays, absent from END rows.

    The pixels are joined in one copy: through Python objects it would cost more than decoding.
    """
    pixels = [row.pop("pixels", _NO_PIXELS) for row in rows]
    offsets = np.cumsum([0, *(array.size for array in pixels)], dtype=np.int64)
    joined = np.concatenate([array.reshape(-1) for array in pixels])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(joined)]
    column = pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(rows), buffers)
    others = pa.schema([field for field in DECODED if field.name != "pixels"])
    return table_of(rows, others).append_column(DECODED.field("pixels"), column)


def table_of(rows: list[Row], schema: pa.Schema) -> pa.Table:
    """Return the rows as a table; missing keys become nulls."""
    return pa.Table.from_pylist(rows, schema=schema)
