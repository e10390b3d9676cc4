"""Reading Parquet files that anybody may have written: never more of one in memory than it may hold.

What a footer says can be a lie, and a text that stands in a file once may stand in a million of its rows.
Texts are therefore read as numbers of different values, and counted before they are spelled out.
"""

from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s2sw.connectors.parquet.footer import NoParquetError

BATCH_ROWS = 1 << 16
BYTES = 4 << 30
"""Of a table that is held whole, or of a batch of rows."""

Source: TypeAlias = pa.NativeFile | BinaryIO


def bounded_table(source: Source, columns: list[str] | None = None, most: int = BYTES) -> pa.Table:
    """Return columns of a Parquet file, by default all.

    Raises NoParquetError if one is missing, or if they take more bytes.
    """
    file = _opened(source, ahead=True)
    plain = _plain_schema(file, columns)
    batches, left = [], most
    for batch in file.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
        left -= _size(batch)
        if left < 0:
            raise _too_much(most)
        batches.append(_spelled_out(batch.select(plain.names), plain))
    return pa.Table.from_batches(batches, plain)


def bounded_batches(
    source: Source, rows: int, most: int = BYTES, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield so many rows of a Parquet file at once, none of an empty one as a batch of its columns.

    columns: by default all. Raises NoParquetError if a batch takes more bytes.
    """
    file = _opened(source, ahead=False)
    plain = _plain_schema(file, columns)
    for batch in file.iter_batches(rows, columns=columns, use_threads=False):
        if _size(batch) > most:
            raise _too_much(most)
        yield _spelled_out(batch.select(plain.names), plain)
    if not file.metadata.num_rows:
        yield pa.RecordBatch.from_pylist([], plain)


def _plain_schema(file: pq.ParquetFile, columns: list[str] | None) -> pa.Schema:
    schema = file.schema_arrow
    names = schema.names if columns is None else columns
    if missing := next((name for name in names if name not in schema.names), None):
        raise NoParquetError(f"has no column '{missing}'")
    fields = [schema.field(name) for name in names]
    return pa.schema([field.with_type(_plain(field.type)) for field in fields], schema.metadata)


def _opened(source: Source, ahead: bool) -> pq.ParquetFile:
    """Open a file. ahead: fetch all that is asked for in few pieces, compressed, before it is read."""
    metadata = pq.read_metadata(source)
    leaves = (metadata.schema.column(index) for index in range(metadata.num_columns))
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY" and "." not in leaf.path]
    return pq.ParquetFile(source, metadata=metadata, read_dictionary=texts, pre_buffer=ahead)


def _size(batch: pa.RecordBatch) -> int:
    """Return the bytes of a batch once its texts are spelled out."""
    return sum(
        (pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0)
        if pa.types.is_dictionary(column.type)
        else column.nbytes
        for column in batch.columns
    )


def _spelled_out(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        column.cast(_plain(column.type)) if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _too_much(most: int) -> NoParquetError:
    return NoParquetError(f"holds more than {most >> 20:,} MiB of values")
