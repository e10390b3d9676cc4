"""Rows and tables as Parquet files."""

import pyarrow as pa
import pyarrow.parquet as pq

from s2sw.schemas.tables import Row


def parquet_bytes(rows: list[Row], schema: pa.Schema) -> bytes:
    """Return the rows as one Parquet file; columns that the schema does not list are left out."""
    columns = [pa.array([row.get(f.name) for row in rows], f.type) for f in schema]
    return table_bytes(pa.table(columns, schema=schema))


def table_bytes(table: pa.Table, row_group: int | None = None) -> bytes:
    """Return the table as one Parquet file. row_group: rows of each of its groups at most."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", compression_level=6, row_group_size=row_group)
    return bytes(sink.getvalue())
