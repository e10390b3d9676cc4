"""What the footer of a Parquet file says of it, read before anything is made of the file.

Whoever may write to an output may write any footer. It says of which types the columns are and how many rows
they have: readers refuse a file by that, before they hold more of it than its end.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from s2sw.schemas.errors import UserError

MAGIC = b"PAR1"
NO_PARQUET = "no whole Parquet file"
TAIL_BYTES = 64 << 10
"""Read of a file's end at first: the footers of most files are shorter."""
FOOTER_BYTES = 64 << 20
"""Of a footer at most. A row group of a part takes 5 KB of it."""


class NoParquetError(UserError):
    """A file is no whole Parquet file; the message says in a few words why."""


@dataclass(frozen=True, slots=True)
class Footer:
    """Columns by name with their types, in the file's order; rows.

    inflated: bytes of all columns, not compressed. values: of the longest column of lists, all rows together.
    """

    columns: dict[str, pa.DataType]
    rows: int
    inflated: int
    values: int = 0


def footer_bytes(tail: bytes, size: int) -> int:
    """Return how many bytes at the end of a file its footer takes. Raises NoParquetError.

    tail: the last bytes of the file of this size.
    """
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < 8 or tail[-4:] != MAGIC or length + len(MAGIC) > size or length > FOOTER_BYTES:
        raise NoParquetError(NO_PARQUET)
    return length


def parse_footer(footer: bytes) -> Footer:
    """Return what a footer with its length and the magic number says. Raises NoParquetError."""
    try:
        metadata = pq.read_metadata(pa.BufferReader(MAGIC + footer))
        schema = metadata.schema.to_arrow_schema()
        groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
        sizes = [(group.num_rows, group.total_byte_size) for group in groups]
        values = max((_values(metadata, groups, leaf) for leaf in range(metadata.num_columns)), default=0)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise NoParquetError(NO_PARQUET) from error
    # DuckDB, as others, does not tell capital letters from small ones
    if len({name.casefold() for name in schema.names}) != len(schema):
        raise NoParquetError("two columns of one name")
    if min(min(size) for size in [(0, 0), *sizes]) < 0:
        raise NoParquetError("fewer than no rows")
    rows = max(metadata.num_rows, sum(size[0] for size in sizes))
    columns = dict(zip(schema.names, schema.types, strict=True))
    return Footer(columns, rows, sum(size[1] for size in sizes), values)


def _values(metadata: pq.FileMetaData, groups: list[pq.RowGroupMetaData], leaf: int) -> int:
    """Return how many values a column of lists holds; 0 for one that has a value a row at most."""
    if not metadata.schema.column(leaf).max_repetition_level:
        return 0
    return sum(group.column(leaf).num_values for group in groups)
