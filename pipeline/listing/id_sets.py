"""Set questions over millions of ids: what is to do, what is left, does it all add up."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from s2sw.connectors.manifests.files import ManifestError
from s2sw.schemas.tables import DEFERRED, MANIFEST

MEMORY = "128MB"  # for DuckDB's own pages; what is larger goes to files in the work folder
STREAM_ROWS = 10_000
DEFERRED_SHARE = 5  # one object in five comes from those deferred before, so that neither kind starves


class IdSets:
    """Tables ``done`` (rows of ``done_objects``) and ``deferred`` (object_id, since), and a manifest.

    in_order: objects are screened in the order in which they came.
    """

    def __init__(self, manifest: Path, work: Path, in_order: bool = False) -> None:
        self._manifest, self._in_order = str(manifest), in_order
        self._connection = duckdb.connect(
            work / "ids.duckdb",
            config={"memory_limit": MEMORY, "temp_directory": str(work / "spill"), "threads": 2},
        )
        self._connection.execute("SET preserve_insertion_order = false")

    def load(self, table: str, rows: pa.RecordBatchReader) -> None:
        """Replace a table by a stream of rows."""
        self._connection.register("incoming", rows)
        self._connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM incoming")  # noqa: S608
        self._connection.unregister("incoming")

    def refuse_repeated(self, source: str | None) -> None:
        """Raise ManifestError where an address stands in the manifest more than once.

        source: the list that was given instead of a listing; None for a listing, which names all once.
        """
        if source is None:
            return
        # hashes first: they are shorter than addresses, of which few are then compared
        (count,) = self._one(
            "WITH likely AS (SELECT hash(uri) AS mark FROM read_parquet($manifest) "
            "GROUP BY mark, place HAVING count(*) > 1) "
            "SELECT count(*) FROM (SELECT uri FROM read_parquet($manifest) "
            "WHERE hash(uri) IN (SELECT mark FROM likely) GROUP BY uri, place HAVING count(*) > 1)"
        )
        if count:
            raise ManifestError(source, f"addresses that occur more than once: {count}; keep one row of each")

    def measure_open(self) -> tuple[int, int]:
        """Return how many of the manifest's objects are not done, and their bytes."""
        count, size = self._one(
            "SELECT count(*), coalesce(sum(size), 0) FROM read_parquet($manifest) "
            "ANTI JOIN done USING (object_id)"
        )
        return int(count), int(size)

    def open_objects(self) -> pa.RecordBatchReader:
        """Stream the manifest's rows that are not done, in the order in which to screen them.

        Newest first; of those deferred before, the longest waiting first, one to every four new ones. In
        order of arrival: oldest first, and by address where the times are equal.
        """
        order = "modified" if self._in_order else "modified DESC"
        if self._in_order or not self._one("SELECT count(*) FROM deferred")[0]:  # one sort instead of two
            return self._stream(
                MANIFEST,
                f"SELECT {', '.join(MANIFEST.names)} FROM read_parquet($manifest) "  # noqa: S608 (constants)
                f"ANTI JOIN done USING (object_id) ORDER BY {order}, uri, place",
            )
        return self._stream(
            MANIFEST,
            f"""
            WITH open AS (
                SELECT m.*, d.since FROM read_parquet($manifest) m
                ANTI JOIN done USING (object_id) LEFT JOIN deferred d USING (object_id)
            ), ranked AS (
                SELECT *, row_number() OVER (
                    PARTITION BY since IS NULL ORDER BY since, modified DESC, uri, place
                ) AS turn FROM open
            )
            SELECT object_id, uri, size, etag, modified, member, place FROM ranked
            ORDER BY turn * (CASE WHEN since IS NULL
                THEN {DEFERRED_SHARE}.0 / ({DEFERRED_SHARE} - 1) ELSE {DEFERRED_SHARE} END), uri, place
            """,  # noqa: S608 (a constant)
        )

    def left(self, run_id: str) -> pa.RecordBatchReader:
        """Stream object_id and since of what is not done; since names the first run that deferred it."""
        return self._stream(
            DEFERRED,
            "SELECT object_id, coalesce(since, $run_id) AS since FROM read_parquet($manifest) "
            "ANTI JOIN done USING (object_id) LEFT JOIN deferred USING (object_id)",
            run_id=run_id,
        )

    def statuses(self) -> dict[str, int]:
        """Count the manifest's done objects by their status, which is that of the newest run."""
        rows = self._run(
            "SELECT status, count(*) FROM (SELECT arg_max(status, run_id) AS status FROM done "
            "SEMI JOIN read_parquet($manifest) USING (object_id) GROUP BY object_id) GROUP BY status"
        ).fetchall()
        return {str(status): int(count) for status, count in rows}

    def duplicates(self) -> int:
        """Count rows of ``done`` beyond the first of an object in a run; a forced run makes rows again."""
        return int(
            self._one(
                "SELECT coalesce(sum(rows - 1), 0) FROM "
                "(SELECT count(*) AS rows FROM done GROUP BY object_id, run_id HAVING count(*) > 1)"
            )[0]
        )

    def close(self) -> None:
        """Free the memory and the spill files."""
        self._connection.close()

    def _stream(self, schema: pa.Schema, sql: str, **values: Any) -> pa.RecordBatchReader:
        found = self._run(sql, **values).to_arrow_reader(STREAM_ROWS)
        # DuckDB makes every column nullable
        batches = (pa.RecordBatch.from_arrays(batch.columns, schema=schema) for batch in found)
        return pa.RecordBatchReader.from_batches(schema, batches)

    def _run(self, sql: str, **values: Any) -> duckdb.DuckDBPyRelation:
        parameters = {**values, **({"manifest": self._manifest} if "$manifest" in sql else {})}
        return self._connection.sql(sql, params=parameters)

    def _one(self, sql: str) -> tuple[Any, ...]:
        (row,) = self._run(sql).fetchall()
        return tuple(row)
