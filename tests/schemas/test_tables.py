"""The allow-list of what is written: adding a column is a decision that this page is changed for."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s2sw.pipeline.ledger.parquet import parquet_bytes
from s2sw.schemas.tables import DEFERRED, DISTRIBUTIONS, OBJECTS, P_VALUES, SLICES, WORKLIST
from tests.support.rows import slice_row

ALLOWED = {
    "slices": (
        SLICES,
        "object_id slice_index n_slices plane rows cols image_score family_scores group rarity_score "
        "rank_score similar_pictures depends_on_order map_max map_mean "
        "area_fraction threshold mask mask_encoding token_map zero_shot_map grid side smooth "
        "map_layers class_name tiles brightness sharpness pixel_spacing image_position "
        "image_orientation instance_number modality body_part applied bundle fingerprint run_id date site",
    ),
    "objects": (
        OBJECTS,
        "object_id status reason n_slices max_score max_slice max_rank_score max_rank_slice bytes decoder "
        "attempts part fingerprint "
        "run_id date site uri study_id series_id instance_id case_id",
    ),
    "worklist": (
        WORKLIST,
        "rank listed object_id slice_index slice_p_value n_slices score group n_past first_night p_value "
        "q_value q_group fingerprint run_id date",
    ),
    "p_values": (
        P_VALUES,
        "object_id slice_index score group n_past first_night p_value fingerprint run_id date",
    ),
    "distributions": (DISTRIBUTIONS, "group length n top body weights rows fingerprint run_id date"),
    "deferred": (DEFERRED, "object_id since"),
}


@pytest.mark.parametrize("table", ALLOWED)
def test_the_columns_are_these_and_no_others(table: str) -> None:
    schema, names = ALLOWED[table]
    assert schema.names == names.split()


def test_a_column_that_is_not_listed_cannot_be_written() -> None:
    constants = {
        "object_id": "x",
        "n_slices": 1,
        "bundle": "b",
        "fingerprint": "f",
        "run_id": "r",
        "threshold": 0.5,
    }
    row = slice_row(0, 0) | constants | {"PatientName": "DOE^JANE", "uri": "/archive/doe^jane.dcm"}
    data = parquet_bytes([row], SLICES)
    table = pq.read_table(io.BytesIO(data))
    assert table.schema.equals(SLICES)
    assert "DOE" not in repr(table.to_pylist()).upper()
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        parquet_bytes([row | {"rows": "DOE^JANE"}], SLICES)
