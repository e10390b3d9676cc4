"""Which objects of a listing a profile is built from: of each folder those with the lowest keyed ids."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa

from s2sw.schemas.tables import MANIFEST

OF_A_FOLDER = 256
MOST = 4096
"""Objects in all; with more folders than that, some give none."""


def sample(manifest: Path, wanted: Iterable[str] = ()) -> pa.RecordBatch:
    """Return the sampled rows of a manifest (schema MANIFEST), by id. wanted: ids that come before others.

    Ids are hashes of address and version, so that the lowest are a random choice, and always the same one.
    """
    query = f"""
        WITH ranked AS (
            SELECT *, row_number() OVER (
                PARTITION BY regexp_extract(uri || coalesce('!' || nullif(member, ''), ''), '^(.*)/', 1)
                ORDER BY NOT list_contains(?, object_id), object_id
            ) AS turn FROM read_parquet(?)
        ), chosen AS (
            SELECT * FROM ranked WHERE turn <= {OF_A_FOLDER} ORDER BY turn, object_id LIMIT {MOST}
        )
        SELECT {", ".join(MANIFEST.names)} FROM chosen ORDER BY object_id
    """  # noqa: S608 (constants)
    with duckdb.connect(config={"threads": 2}) as connection:
        table = connection.sql(query, params=[sorted(wanted), str(manifest)]).to_arrow_table()
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], schema=MANIFEST)
