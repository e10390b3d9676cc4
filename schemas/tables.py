"""The Arrow schemas of everything that is written as Parquet. Writers accept these columns and no others."""

from typing import Any

import pyarrow as pa

Row = dict[str, Any]
"""One row of a table as Python values, by column."""

TABLES_VERSION = 2
"""Raised when a column changes its meaning or goes away; every Parquet file names it in its metadata.

2: with a profile, token map, mask and what is measured of them are those of the combined map."""
_METADATA = {"s2sw_tables_version": str(TABLES_VERSION)}

MANIFEST = pa.schema(
    [
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("modified", pa.float64(), nullable=False),
        # of a file in a zip or tar archive: its name and its position; "" and 0 for an object of its own
        pa.field("member", pa.string(), nullable=False),
        pa.field("place", pa.int32(), nullable=False),
    ]
)
"""One row a listed object. It names objects in clear, so it is a crosswalk: never part of the outputs."""

_LAYER = {
    "grid": pa.int16(), "side": pa.int16(), "smooth": pa.bool_(), "corners": pa.bool_(), "logit": pa.bool_(),
    "weight": pa.float64(),
}  # fmt: skip
MAP_LAYERS = pa.list_(pa.struct(_LAYER))
SIMILAR_PICTURES = pa.list_(pa.struct({"object_id": pa.string(), "slice_index": pa.int32()}))

SLICES = pa.schema(
    [
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("slice_index", pa.int32(), nullable=False),
        pa.field("n_slices", pa.int32(), nullable=False),
        pa.field("plane", pa.string(), nullable=False),
        pa.field("rows", pa.int32(), nullable=False),
        pa.field("cols", pa.int32(), nullable=False),
        # the image score and all of its parts are probabilities in 0..1
        pa.field("image_score", pa.float32(), nullable=False),
        pa.field("family_scores", pa.list_(pa.float32()), nullable=False),
        # null without a profile, or where it has no group for the slice: the name of the group, how rare the
        # slice is among its like, in deviations of theirs, and both kinds of evidence in one number, 0..1
        pa.field("group", pa.string()),
        pa.field("rarity_score", pa.float32()),
        pa.field("rank_score", pa.float32()),
        # pictures of its group, of different objects, the most alike first; null without rank score or ids
        pa.field("similar_pictures", SIMILAR_PICTURES),
        # true where it was ranked by what came before it: another order gives other numbers; else null
        pa.field("depends_on_order", pa.bool_()),
        pa.field("map_max", pa.float32(), nullable=False),
        pa.field("map_mean", pa.float32(), nullable=False),
        pa.field("area_fraction", pa.float32(), nullable=False),
        pa.field("threshold", pa.float32(), nullable=False),
        pa.field("mask", pa.binary(), nullable=False),
        pa.field("mask_encoding", pa.string(), nullable=False),
        # float16, (1 + tiles) x grid x grid: the whole image first, then its tiles in row order; with
        # map_layers the grids of all layers one behind the other, for each of these views
        pa.field("token_map", pa.binary(), nullable=False),
        # on request, where a profile combined the map: the zero-shot one at the same places, as token_map
        pa.field("zero_shot_map", pa.binary()),
        pa.field("grid", pa.int16(), nullable=False),
        # the detector's input side in pixels, and whether its map takes the Gaussian of sigma 4: with these a
        # full map is rebuilt from the token map without the model
        pa.field("side", pa.int16(), nullable=False),
        pa.field("smooth", pa.bool_(), nullable=False),
        # null where the map is made of one grid as the three columns above say; otherwise every grid and its
        # way into the full map (s2sw.model.maps.MapLayer)
        pa.field("map_layers", MAP_LAYERS),
        # the class name that the object was judged by, one of those in the detector's bundle; else null
        pa.field("class_name", pa.string()),
        # left, top, right, bottom of every tile in pixels of the slice; empty without tiling
        pa.field("tiles", pa.list_(pa.int32()), nullable=False),
        # of the picture as the detector takes it: mean grey level, 0..255; and mean step between neighbouring
        # pixels over the standard deviation. They tell when a camera or a scanner changed
        pa.field("brightness", pa.float32()),
        pa.field("sharpness", pa.float32()),
        # where the picture lies in the patient, as far as it says: mm between rows and between columns;
        # centre of the first pixel, mm to the left, back and head; directions along a row and down a column;
        # number in its series. DICOM's attributes of these names; likewise from a NIfTI header
        pa.field("pixel_spacing", pa.list_(pa.float64())),
        pa.field("image_position", pa.list_(pa.float64())),
        pa.field("image_orientation", pa.list_(pa.float64())),
        pa.field("instance_number", pa.float64()),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("body_part", pa.string(), nullable=False),
        pa.field("applied", pa.string(), nullable=False),
        pa.field("bundle", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        # the day on which that run started, UTC, and the alias that it was given (parts.site)
        pa.field("date", pa.date32()),
        pa.field("site", pa.string()),
    ],
    metadata=_METADATA,
)
"""One row a screened slice. A new column is declared here and filled by the stage that is named below."""

RANK = "coalesce(rank_score, image_score)"
"""SQL of what slices are sorted and flagged by: the rank score where there is one."""
SORTED = "coalesce(rank_score + 2, image_score)"
"""SQL of what slices are ordered by: first those with a rank score, then the others by image score.

The two are on different scales, and an image score without a group tells nothing beside a rank score."""
OBJECT_RANK = "coalesce(max_rank_score, max_score)"
"""The same of objects."""


def rank_of(row: Row) -> float:
    """Return what a slice is sorted and flagged by."""
    rank = row.get("rank_score")
    return float(row["image_score"] if rank is None else rank)


DECODE_COLUMNS = (
    "plane", "rows", "cols", "tiles", "modality", "body_part", "applied", "class_name",
    "brightness", "sharpness", "pixel_spacing", "image_position", "image_orientation", "instance_number",
)  # fmt: skip
"""Columns of SLICES that the decode stage fills."""

DETECT_COLUMNS = (
    "image_score", "family_scores", "map_max", "map_mean", "area_fraction", "mask", "mask_encoding",
    "token_map", "zero_shot_map", "grid", "side", "smooth", "map_layers", "group", "rarity_score",
    "rank_score", "similar_pictures", "depends_on_order",
)  # fmt: skip
"""Columns of SLICES that the detect stage fills; all others come from the writer."""

OBJECTS = pa.schema(
    [
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("n_slices", pa.int32(), nullable=False),
        pa.field("max_score", pa.float32()),
        pa.field("max_slice", pa.int32()),
        # highest of the slices' rank scores; null where none has one
        pa.field("max_rank_score", pa.float32()),
        pa.field("max_rank_slice", pa.int32()),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("decoder", pa.string(), nullable=False),
        pa.field("attempts", pa.int16(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("date", pa.date32()),
        pa.field("site", pa.string()),
        pa.field("uri", pa.string()),
        # of screened DICOM objects: ids made of the UIDs, so that objects of a study can be told to be that
        pa.field("study_id", pa.string()),
        pa.field("series_id", pa.string()),
        pa.field("instance_id", pa.string()),
        # keyed name of the patient, or of what groups.case finds in the address (lot, wafer)
        pa.field("case_id", pa.string()),
    ],
    metadata=_METADATA,
)
"""One row an object that reached a terminal status. ``uri`` is null in private mode."""

DEFERRED = pa.schema(
    [pa.field("object_id", pa.string(), nullable=False), pa.field("since", pa.string(), nullable=False)]
)
"""What the last run left for the next: since is the id of the run that first deferred the object."""

DECISIONS = pa.schema(
    [
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("slice_index", pa.int32(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        # accept: an anomaly; reject: a false alarm; unsure; withdrawn: undoes the one before
        pa.field("decision", pa.string(), nullable=False),
        pa.field("note", pa.string(), nullable=False),
        pa.field("reviewer", pa.string(), nullable=False),
        pa.field("decided", pa.timestamp("us", "UTC"), nullable=False),
        # the mask that the reviewer looked at, 0..1
        pa.field("threshold", pa.float32(), nullable=False),
    ],
    metadata=_METADATA,
)
"""One row a reviewer's decision. Rows are only ever added; the newest of a reviewer on a slice counts."""

_EVIDENCE = [
    # the highest score of its slices: the rank score where there is one, 0..1
    pa.field("score", pa.float32(), nullable=False),
    # what it is compared with (of its profile, else modality, body part and plane), and how many of these
    pa.field("group", pa.string(), nullable=False),
    pa.field("n_past", pa.int64(), nullable=False),
    # true where there was no past: then compared with the others of its own night, and without q-values
    pa.field("first_night", pa.bool_(), nullable=False),
    # null where too few are like it. q: least false discovery rate of a list that holds it, in all and in
    # its group
    pa.field("p_value", pa.float64()),
    pa.field("q_value", pa.float64()),
    pa.field("q_group", pa.float64()),
]
_OF_RUN = [
    pa.field("fingerprint", pa.string(), nullable=False),
    # the newest run whose rows are part of it
    pa.field("run_id", pa.string(), nullable=False),
    pa.field("date", pa.date32()),
]

P_VALUES = pa.schema(
    [
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("slice_index", pa.int32(), nullable=False),
        *_EVIDENCE[:5],
        *_OF_RUN,
    ],
    metadata=_METADATA,
)
"""One row a slice that was screened that night; compared with all earlier slices of its group."""

DISTRIBUTIONS = pa.schema(
    [
        pa.field("group", pa.string(), nullable=False),
        # of units: the power of two of their slices; -1: slices, each for itself
        pa.field("length", pa.int32(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
        # the highest scores as they are; values of the others, and how many each stands for; all ascending
        pa.field("top", pa.list_(pa.float32()), nullable=False),
        pa.field("body", pa.list_(pa.float32()), nullable=False),
        pa.field("weights", pa.list_(pa.int64()), nullable=False),
        # the run's rows of slices that it was made of
        pa.field("rows", pa.int64(), nullable=False),
        *_OF_RUN,
    ],
    metadata=_METADATA,
)
"""One row a group and length of a run: the distribution of its scores."""

WORKLIST = pa.schema(
    [
        pa.field("rank", pa.int32(), nullable=False),
        # whether it is on the list: within the false discovery rate or the budget that was asked for
        pa.field("listed", pa.bool_(), nullable=False),
        pa.field("object_id", pa.string(), nullable=False),
        # the slice with the highest score, and its own p-value among all earlier slices of its group
        pa.field("slice_index", pa.int32(), nullable=False),
        pa.field("slice_p_value", pa.float64()),
        pa.field("n_slices", pa.int32(), nullable=False),
        *_EVIDENCE,
        *_OF_RUN,
    ],
    metadata=_METADATA,
)
"""One row an object that was screened that night, the strongest evidence first."""

_SLICE_OF_CASE = [
    pa.field("object_id", pa.string()),
    pa.field("slice_index", pa.int32()),
    pa.field("score", pa.float32()),
]
# a 3-D component of the masks of neighbouring slices of one stack, an object or a series of single files:
# the worst, the first and the last of them, how many of how many, and its pixels, in mm^3 where spacing and
# distance are known. weight: the score, less for what is too thin
_FINDING = [
    pa.field("object_id", pa.string()),
    pa.field("worst_slice", pa.int32()),
    pa.field("plane", pa.string()),
    pa.field("first_object", pa.string()),
    pa.field("first_slice", pa.int32()),
    pa.field("last_object", pa.string()),
    pa.field("last_slice", pa.int32()),
    pa.field("slices", pa.int32()),
    pa.field("of_slices", pa.int32()),
    pa.field("score", pa.float32()),
    pa.field("weight", pa.float32()),
    pa.field("pixels", pa.int64()),
    pa.field("volume_mm3", pa.float64()),
]
CASES = pa.schema(
    [
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("listed", pa.bool_(), nullable=False),
        # study_id, else case_id, else object_id of the objects; level says which: study, case or object
        pa.field("case_id", pa.string(), nullable=False),
        pa.field("level", pa.string(), nullable=False),
        pa.field("n_objects", pa.int32(), nullable=False),
        pa.field("n_slices", pa.int32(), nullable=False),
        # the slices with the highest scores, three at most
        pa.field("worst", pa.list_(pa.struct(_SLICE_OF_CASE)), nullable=False),
        pa.field("n_findings", pa.int32(), nullable=False),
        pa.field("findings", pa.list_(pa.struct(_FINDING)), nullable=False),
        # of the newest earlier run that screened the same patient or case: its highest score; score less that
        pa.field("earlier_run", pa.string()),
        pa.field("earlier_score", pa.float32()),
        pa.field("change", pa.float32()),
        *_EVIDENCE,
        *_OF_RUN,
    ],
    metadata=_METADATA,
)
"""One row a case that was screened that night, the strongest evidence first."""
