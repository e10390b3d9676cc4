"""Screened archives as a profile would have ranked them: rows that name the usual pictures they are like."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from s2sw.schemas.tables import SLICES
from tests.support.screened import Screened

GROUP = "CT/-/frame"
Place = tuple[str, int]


def name_similar(screened: Screened, similar: Sequence[Place] | None) -> None:
    """Give all slices a rank score, and let them name these pictures: object and slice."""
    named = similar and [{"object_id": one, "slice_index": index} for one, index in similar]
    for path in screened.output.glob("slices/**/*.parquet"):
        table = pq.ParquetFile(path).read()
        columns = {
            "rank_score": table["image_score"], "rarity_score": pa.array([1.5] * len(table)),
            "group": pa.array([GROUP] * len(table)), "similar_pictures": pa.array([named] * len(table)),
        }  # fmt: skip
        for name, values in columns.items():
            field = SLICES.field(name)
            table = table.set_column(table.schema.get_field_index(name), field, values.cast(field.type))
        pq.write_table(table, path)
