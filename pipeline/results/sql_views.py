"""Results as views in DuckDB: files are read when, and as far as, a query asks for them."""

import duckdb
import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.committed import committed_parts
from s2sw.schemas.layout import PARTITIONS, TABLE_FOLDERS, Part
from s2sw.schemas.tables import OBJECTS, SLICES

SCHEMAS = {"slices": SLICES, "objects": OBJECTS}
MATERIALISED_LATE = 1000
"""Rows of a sorted page whose wide columns (maps, masks) are read only once the page is known."""
_FILE = "__file"

_SUPERSEDED = """
CREATE TABLE superseded AS
WITH twice AS (SELECT hash(object_id, fingerprint) AS h FROM all_objects GROUP BY h HAVING count(*) > 1)
SELECT object_id, fingerprint, run_id FROM all_objects
WHERE hash(object_id, fingerprint) IN (FROM twice)
QUALIFY run_id < max(run_id) OVER (PARTITION BY object_id, fingerprint)
"""


def connect(output: OutputFolder) -> duckdb.DuckDBPyConnection:
    """Return an in-memory database with the views ``slices`` and ``objects`` of what is committed now.

    Of an object screened again under the same fingerprint the newest run's rows count; the keys of the others
    are the table ``superseded``. DuckDB loads no extension from the network and writes no temporary file.
    """
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": "",
            "late_materialization_max_rows": str(MATERIALISED_LATE),
        }
    )
    connection.execute("SET parquet_metadata_cache = true")
    parts = committed_parts(output)
    remote = output.reader(*TABLE_FOLDERS)
    if remote is not None:
        connection.register_filesystem(remote)
    else:  # the operating system keeps local files better than a second cache could
        connection.execute("SET enable_external_file_cache = false")
    for table in TABLE_FOLDERS:
        query = _reading(connection, output, parts[table], SCHEMAS[table])
        connection.execute(f"CREATE VIEW all_{table} AS {query}")
    _create_views(connection, len({part.run for part in parts["objects"]}) > 1)
    return connection


def _create_views(connection: duckdb.DuckDBPyConnection, several_runs: bool) -> None:
    """Create the views without the rows that a later run replaced."""
    if several_runs:
        connection.execute(_SUPERSEDED)
    else:
        connection.execute(
            "CREATE TABLE superseded AS SELECT object_id, fingerprint, run_id FROM all_objects LIMIT 0"
        )
    (replaced,) = connection.execute("SELECT count(*) FROM superseded").fetchall()[0]
    without = "ANTI JOIN superseded USING (object_id, fingerprint, run_id)" if replaced else ""
    for table in TABLE_FOLDERS:
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM all_{table} {without}")  # noqa: S608


def _reading(
    connection: duckdb.DuckDBPyConnection, output: OutputFolder, parts: list[Part], schema: pa.Schema
) -> str:
    """Return the query that reads these parts: all columns of the schema, and those of Hive folders in use.

    Columns that no file has yet, because it was written by an earlier version, are null.
    """
    empty = connection.from_arrow(schema.empty_table())
    types = {name: str(kind) for name, kind in zip(empty.columns, empty.types, strict=True)}
    if not parts:
        nulls = ", ".join(f"CAST(NULL AS {kind}) AS {name}" for name, kind in types.items())
        return f"SELECT {nulls} WHERE false"
    # the files of a run have the same columns, and columns are only ever added
    runs = {part.run: part for part in parts}
    first, last = (_columns(connection, output.address(runs[run].name)) for run in (min(runs), max(runs)))
    lacking = [
        f"CAST(NULL AS {kind}) AS {name}" for name, kind in types.items() if name not in {*first, *last}
    ]
    folders = [_folder_column(output, key) for key in PARTITIONS if any(getattr(p, key) for p in parts)]
    columns = ", ".join([f"* EXCLUDE ({_FILE})", *lacking, *folders])
    files = ", ".join(_literal(output.address(part.name)) for part in parts)
    # folders are read from the name below the output alone: the output's own path may have an = in it
    return (
        f"SELECT {columns} FROM read_parquet([{files}], hive_partitioning = false, "  # noqa: S608
        f"filename = '{_FILE}', union_by_name = {first != last})"
    )


def _columns(connection: duckdb.DuckDBPyConnection, address: str) -> list[str]:
    return connection.sql(
        f"SELECT * FROM read_parquet([{_literal(address)}], hive_partitioning = false)"  # noqa: S608
    ).columns


def _folder_column(output: OutputFolder, key: str) -> str:
    """Return the expression of a Hive column; null for parts that do not lie in such a folder."""
    below = f"substr({_FILE}, {len(output.address('')) + 1})"
    text = f"nullif(regexp_extract({below}, '/{key}=([^/]*)/', 1), '')"
    return f"try_cast({text} AS DATE) AS {key}" if key == "date" else f"{text} AS {key}"


def _literal(path: str) -> str:
    """Return a path as SQL text in which no character stands for others."""
    plain = "".join(f"[{c}]" if c in "*?[" else c for c in path)
    return "'" + plain.replace("'", "''") + "'"


def newest_fingerprint(connection: duckdb.DuckDBPyConnection) -> str | None:
    """Return the settings of the newest run with results; None where there are none."""
    rows = connection.execute("SELECT fingerprint FROM objects ORDER BY run_id DESC LIMIT 1").fetchall()
    return rows[0][0] if rows else None
