"""Reading results back: committed rows only, maps and masks made again without the model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.opening import open_output
from s2sw.model.maps import token_shape
from s2sw.pipeline.flagging.decisions import decisions
from s2sw.pipeline.flagging.rule import create_flagged, flag_settings
from s2sw.pipeline.imaging.masks import SliceMaps, decode_mask
from s2sw.pipeline.imaging.tiles import boxes_of
from s2sw.pipeline.ledger.committed import committed_parts
from s2sw.pipeline.results import sql_views as views
from s2sw.pipeline.results.arrow import dataset_of
from s2sw.pipeline.results.checking import BadRowError, bad_row, check_whole, layers_of, map_problem
from s2sw.schemas.layout import TABLE_FOLDERS
from s2sw.schemas.storage import StorageSettings

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The committed results of one output folder: of each object under each fingerprint the newest run's.

    Opening reads nothing. Each call looks at what is committed then; what it returns stays with that.
    """

    output: OutputFolder

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection with lazy views ``slices``, ``objects`` and ``flagged``.

        Queries read what they need. ``flagged`` holds the rows of ``slices`` that reach the flagging
        thresholds in force (``s2sw.pipeline.flagging.rule``), with ``flag_threshold``.

        Columns are those of schemas SLICES and OBJECTS, and ``date`` and ``site`` where parts of the output
        lie in such folders. ``connection.cursor()`` gives another thread the same views.
        """
        connection = views.connect(self.output)
        create_flagged(connection, flag_settings(self.output))
        return connection

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """Run a DuckDB query over the views of ``connect`` and ``decisions`` (those that count now)."""
        connection = self.connect()
        connection.register("decisions", decisions(self.output))
        return connection.sql(query)

    def dataset(self, table: str = "slices") -> ds.Dataset:
        """Return a table (``slices`` or ``objects``) as a lazy pyarrow dataset, columns as of ``connect``."""
        if table not in TABLE_FOLDERS:
            raise ValueError(f"table is {table!r}: one of {', '.join(TABLE_FOLDERS)} is expected")
        superseded = self.connect().sql("FROM superseded").to_arrow_table()
        return dataset_of(self.output, committed_parts(self.output)[table], views.SCHEMAS[table], superseded)

    def pandas(self, table: str = "slices", columns: list[str] | None = None) -> "pd.DataFrame":
        """Return columns of a table as a data frame, by default all but masks and token maps."""
        found = self.dataset(table)
        if columns is None:
            columns = [field.name for field in found.schema if not pa.types.is_binary(field.type)]
        frame: pd.DataFrame = found.to_table(columns=columns).to_pandas()
        return frame

    def objects(self) -> pa.Table:
        """Return the whole table of objects (schema OBJECTS)."""
        return self.dataset("objects").to_table()

    def slices(self) -> pa.Table:
        """Return the whole table of slices (schema SLICES), masks and maps included: for small outputs."""
        return self.dataset("slices").to_table()


def open_results(output: str, storage: StorageSettings | None = None) -> Results:
    """Open the results in a folder or under an ``s3://`` prefix."""
    return Results(open_output(output, storage or StorageSettings()))


def slice_maps(row: Row) -> SliceMaps:
    """Return the maps of one row of the table of slices. Raises BadRowError for what no run wrote."""
    problem = map_problem(row)
    if problem:
        raise bad_row(problem)
    layers, boxes = layers_of(row), boxes_of(row["tiles"])
    tokens = np.frombuffer(row["token_map"], np.float16).reshape(1 + len(boxes), *token_shape(layers))
    return SliceMaps(tokens, layers, row["rows"], row["cols"], boxes)


def full_map(row: Row) -> NDArray[np.float32]:
    """Return the anomaly map of a row, float32 (rows, cols) in 0..1, rebuilt from its token map.

    Raises BadRowError for what no run wrote, or no array should hold (``forms.WHOLE_PIXELS``).
    """
    check_whole(row)
    return slice_maps(row).full()


def mask(row: Row, threshold: float | None = None) -> NDArray[np.bool_]:
    """Return the mask of a row, bool (rows, cols): the stored one, or anew at another threshold (0..1).

    Raises BadRowError as ``full_map`` does.
    """
    if threshold is not None:
        return full_map(row) >= threshold
    check_whole(row)
    try:
        return decode_mask(row["mask"], row["mask_encoding"], row["rows"], row["cols"])
    except ValueError as error:
        raise BadRowError(f"{error}; the row cannot be used") from error
