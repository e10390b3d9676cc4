"""Reading results back: committed rows only, maps and masks made again without the model."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from connectors.outputs import OutputFolder, open_output
from pipeline.masks import SliceMaps, decode_mask
from pipeline.tiles import boxes_of
from schemas.storage import StorageSettings
from schemas.tables import OBJECTS, SLICES

Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The committed results of one output folder: of each object under each fingerprint the newest run's."""

    output: OutputFolder

    def objects(self) -> pa.Table:
        """Return the table of objects (schema OBJECTS)."""
        table = self._read("objects", self.output.names("objects"), OBJECTS)
        return table.filter(pc.is_in(_version(table), value_set=_newest(table)))

    def slices(self) -> pa.Table:
        """Return the table of slices (schema SLICES); parts that no objects part commits are left out."""
        committed = {name.removeprefix("objects/") for name in self.output.names("objects")}
        names = [n for n in self.output.names("slices") if n.removeprefix("slices/") in committed]
        table = self._read("slices", names, SLICES)
        return table.filter(pc.is_in(_version(table), value_set=_version(self.objects())))

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """Run a DuckDB query over the tables ``slices`` and ``objects``."""
        connection = duckdb.connect()
        connection.register("slices", self.slices())
        connection.register("objects", self.objects())
        return connection.sql(query)

    def _read(self, folder: str, names: list[str], schema: pa.Schema) -> pa.Table:
        def tables() -> Iterator[pa.Table]:
            for name in names:
                yield pq.read_table(pa.BufferReader(self.output.read(name))).cast(schema)

        return pa.concat_tables(tables()) if names else schema.empty_table()


def _version(table: pa.Table) -> pa.ChunkedArray:
    """Return what names the screening of an object that a row belongs to."""
    return pc.binary_join_element_wise(table["object_id"], table["fingerprint"], table["run_id"], "/")


def _newest(objects: pa.Table) -> pa.ChunkedArray:
    newest = objects.group_by(["object_id", "fingerprint"]).aggregate([("run_id", "max")])
    return _version(newest.rename_columns({"run_id_max": "run_id"}))


def open_results(output: str, storage: StorageSettings | None = None) -> Results:
    """Open the results in a folder or under an ``s3://`` prefix."""
    return Results(open_output(output, storage or StorageSettings()))


def slice_maps(row: Row) -> SliceMaps:
    """Return the maps of one row of the table of slices."""
    grid = row["grid"]
    tokens = np.frombuffer(row["token_map"], np.float16).reshape(-1, grid, grid)
    return SliceMaps(tokens, row["side"], row["smooth"], row["rows"], row["cols"], boxes_of(row["tiles"]))


def full_map(row: Row) -> NDArray[np.float32]:
    """Return the anomaly map of a row, float32 (rows, cols) in 0..1, rebuilt from its token map."""
    return slice_maps(row).full()


def mask(row: Row, threshold: float | None = None) -> NDArray[np.bool_]:
    """Return the mask of a row, bool (rows, cols): the stored one, or anew at another threshold (0..1)."""
    if threshold is None:
        return decode_mask(row["mask"], row["mask_encoding"], row["rows"], row["cols"])
    return full_map(row) >= threshold
