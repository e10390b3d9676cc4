"""Results as views in DuckDB: files are read when, and as far as, a query asks for them."""

import duckdb
import numpy as np
import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.committed import committed_parts
from s2sw.pipeline.ledger.looking import FILE_COLUMN
from s2sw.schemas.forms import RUN_OF_A_DAY
from s2sw.schemas.layout import OBJECTS_FOLDER, PARTITIONS, TABLE_FOLDERS, Part
from s2sw.schemas.tables import OBJECTS, SLICES

NEWEST, EVERY = "newest", "all"
"""Words in place of a fingerprint."""

SCHEMAS = {"slices": SLICES, "objects": OBJECTS}
MATERIALISED_LATE = 1000
"""Rows of a sorted page whose wide columns (maps, masks) are read only once the page is known."""
ROWS_AT_ONCE = 1 << 20
_DAY = "CAST(try_strptime(left(run_id, 8), '%Y%m%d') AS DATE)"

_SUPERSEDED = """
CREATE TABLE superseded AS
SELECT object_id, fingerprint, run_id FROM all_objects WHERE hash(object_id, fingerprint) IN (FROM twice)
QUALIFY run_id < max(run_id) OVER (PARTITION BY object_id, fingerprint)
"""


def connect(output: OutputFolder, fingerprint: str = NEWEST) -> duckdb.DuckDBPyConnection:
    """Return an in-memory database with the views ``slices`` and ``objects`` of what is committed now.

    fingerprint: of the settings whose rows they hold, NEWEST (those of the newest run with results) or EVERY.
    Rows of other settings are in ``all_slices`` and ``all_objects``.

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
    several_runs = len({part.run for part in parts[OBJECTS_FOLDER]}) > 1
    if fingerprint == NEWEST and several_runs:
        newest = max(parts[OBJECTS_FOLDER], key=lambda part: part.run)
        fingerprint = _fingerprint_of(connection, output.address(newest.name))
    _create_views(connection, several_runs, "" if fingerprint in (NEWEST, EVERY) else fingerprint)
    return connection


def _fingerprint_of(connection: duckdb.DuckDBPyConnection, address: str) -> str:
    """Return the settings of a part: all rows of a run have the same."""
    query = "SELECT fingerprint FROM read_parquet([?], hive_partitioning = false) LIMIT 1"
    rows = connection.execute(query, [_glob_free(address)]).fetchall()
    return str(rows[0][0]) if rows else EVERY


def _create_views(connection: duckdb.DuckDBPyConnection, several_runs: bool, fingerprint: str) -> None:
    """Create the views without the rows that a later run replaced, and of one fingerprint if there is one."""
    if several_runs:
        connection.register("twice", _twice(connection))
        connection.execute(_SUPERSEDED)
        connection.unregister("twice")
    else:
        connection.execute(
            "CREATE TABLE superseded AS SELECT object_id, fingerprint, run_id FROM all_objects LIMIT 0"
        )
    (replaced,) = connection.execute("SELECT count(*) FROM superseded").fetchall()[0]
    without = "ANTI JOIN superseded USING (object_id, fingerprint, run_id)" if replaced else ""
    for table in TABLE_FOLDERS:
        chosen = f"WHERE fingerprint = {_text(fingerprint)}" if fingerprint else ""
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM all_{table} {without} {chosen}")  # noqa: S608


def _twice(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Return the hashes that several rows of objects have, as the column ``h``.

    Sorted in an array of 8 bytes a row: grouping seven million objects in DuckDB took 400 MB more.
    """
    query = "SELECT hash(object_id, fingerprint) AS h FROM all_objects"
    reader = connection.sql(query).to_arrow_reader(ROWS_AT_ONCE)
    parts = [batch.column(0).to_numpy() for batch in reader]
    hashes = np.concatenate(parts) if parts else np.empty(0, np.uint64)
    del parts
    hashes.sort()
    return pa.table({"h": np.unique(hashes[1:][hashes[1:] == hashes[:-1]])})


def settings_of(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the fingerprints of all results with their numbers of slices, the newest run's first."""
    rows = connection.execute(
        "SELECT fingerprint, CAST(coalesce(sum(n_slices), 0) AS BIGINT) FROM all_objects "  # noqa: S608
        "WHERE fingerprint IS NOT NULL GROUP BY fingerprint "
        f"ORDER BY max(run_id) FILTER (WHERE {RUN_OF_A_DAY}) DESC NULLS LAST"
    ).fetchall()
    return dict(rows)


def _reading(
    connection: duckdb.DuckDBPyConnection, output: OutputFolder, parts: list[Part], schema: pa.Schema
) -> str:
    """Return the query that reads these parts: all columns of the schema.

    Columns that no file has yet, because it was written by an earlier version, are null; ``date`` and
    ``site`` are then what the id of the run and the part's folder say.
    """
    empty = connection.from_arrow(schema.empty_table())
    types = {name: str(kind) for name, kind in zip(empty.columns, empty.types, strict=True)}
    if not parts:
        nulls = ", ".join(f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in types.items())
        return f"SELECT {nulls} WHERE false"
    kinds = {part.columns for part in parts}
    known = frozenset[str]().union(*kinds)
    own = {"date": _DAY, "site": _site_of(output, parts)}

    def column(name: str) -> str:
        if name not in known:
            return f'CAST({own.get(name, "NULL")} AS {types[name]}) AS "{name}"'
        if name in PARTITIONS and len(kinds) > 1:
            return f"coalesce({name}, {own[name]}) AS {name}"
        return f'"{name}"'

    files = ", ".join(_literal(output.address(part.name)) for part in parts)
    # folders are read from the name below the output alone: the output's own path may have an = in it
    return (
        f"SELECT {', '.join(map(column, types))} FROM read_parquet([{files}], "  # noqa: S608
        f"hive_partitioning = false, filename = '{FILE_COLUMN}', union_by_name = {len(kinds) > 1})"
    )


def _site_of(output: OutputFolder, parts: list[Part]) -> str:
    """Return the expression of the site in the name of an earlier version's file; NULL where none has one."""
    if not any(part.site for part in parts):
        return "NULL"
    below = f"substr({FILE_COLUMN}, {len(output.address('')) + 1})"
    return f"nullif(regexp_extract({below}, '/site=([^/]*)/', 1), '')"


def _literal(path: str) -> str:
    """Return a path as SQL text in which no character stands for others."""
    return _text(_glob_free(path))


def _glob_free(path: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
