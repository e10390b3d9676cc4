"""Reading results: committed rows only; maps and masks are rebuilt without the model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
from s2sw.pipeline.results.opening import chosen_fingerprint
from s2sw.schemas.layout import TABLE_FOLDERS
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import Row

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Results:
    """The committed results of one output folder; for each object, the rows of the newest run.

    fingerprint: the settings whose rows are read; ``newest`` for those of the newest run, or ``all``. Scores
    under different settings are not comparable. Opening reads nothing. Each call sees what is committed at
    that moment; what it returns does not change later.
    """

    output: OutputFolder
    fingerprint: str = views.NEWEST

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Return a DuckDB connection with lazy views ``slices``, ``objects`` and ``flagged``.

        A query reads only the columns and row groups that it needs. ``flagged`` holds the rows of ``slices``
        that reach the current flagging thresholds (``s2sw.pipeline.flagging.rule``), with ``flag_threshold``.

        Columns are those of the schemas SLICES and OBJECTS. ``connection.cursor()`` gives another thread the
        same views.
        """
        connection = views.connect(self.output, self.fingerprint)
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
        connection = self.connect()
        superseded = connection.sql("FROM superseded").to_arrow_table()
        parts = committed_parts(self.output)[table]
        found = dataset_of(self.output, parts, views.SCHEMAS[table], superseded)
        if self.fingerprint == views.EVERY:
            return found
        known = list(views.settings_of(connection))
        chosen = known[0] if known and self.fingerprint == views.NEWEST else self.fingerprint
        return found.filter(pc.field("fingerprint") == chosen) if known[1:] else found

    def settings(self) -> dict[str, int]:
        """Return the fingerprints of all results with their numbers of slices, the newest run's first."""
        return views.settings_of(self.connect())

    def pandas(self, table: str = "slices", columns: list[str] | None = None) -> "pd.DataFrame":
        """Return columns of a table as a data frame; by default all except masks and token maps."""
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


def chosen_results(output: OutputFolder, asked: str | None) -> Results:
    """Return the results of the settings that ``chosen_fingerprint`` finds. Raises ReportError as it does."""
    return Results(output, chosen_fingerprint(Results(output, views.EVERY).connect(), output, asked))


def open_results(
    output: str, storage: StorageSettings | None = None, fingerprint: str = views.NEWEST
) -> Results:
    """Open the results in a folder or under an ``s3://`` prefix. fingerprint: as of ``Results``."""
    return Results(open_output(output, storage or StorageSettings()), fingerprint)


def slice_maps(row: Row, *, zero_shot: bool = False) -> SliceMaps:
    """Return the maps of one row of the table of slices.

    zero_shot: those of the detector alone, which a run with a profile keeps on request (``zero_shot_map``).
    Raises BadRowError for an invalid row, or one that does not have them.
    """
    if zero_shot and row.get("rank_score") is not None:  # without a rank the stored maps are those
        if row.get("zero_shot_map") is None:
            raise BadRowError("this row has no zero-shot map: screen with --zero-shot-map to keep it")
        row = {**row, "token_map": row["zero_shot_map"]}
    problem = map_problem(row)
    if problem:
        raise bad_row(problem)
    layers, boxes = layers_of(row), boxes_of(row["tiles"])
    tokens = np.frombuffer(row["token_map"], np.float16).reshape(1 + len(boxes), *token_shape(layers))
    return SliceMaps(tokens, layers, row["rows"], row["cols"], boxes)


def full_map(row: Row, *, zero_shot: bool = False) -> NDArray[np.float32]:
    """Return the anomaly map of a row, float32 (rows, cols) in 0..1, rebuilt from its token map.

    zero_shot: as of ``slice_maps``. Raises BadRowError for an invalid row, or one with too many pixels
    (``forms.WHOLE_PIXELS``).
    """
    check_whole(row)
    return slice_maps(row, zero_shot=zero_shot).full()


def mask(row: Row, threshold: float | None = None, *, zero_shot: bool = False) -> NDArray[np.bool_]:
    """Return the mask of a row, bool (rows, cols): the stored one, or the one at another threshold (0..1).

    zero_shot: of the zero-shot map, as of ``slice_maps``; by default at the row's own threshold. Raises
    BadRowError as ``full_map`` does.
    """
    if zero_shot and threshold is None:
        threshold = row["threshold"]
    if threshold is not None:
        return full_map(row, zero_shot=zero_shot) >= threshold
    check_whole(row)
    try:
        return decode_mask(row["mask"], row["mask_encoding"], row["rows"], row["cols"])
    except ValueError as error:
        raise BadRowError(f"{error}; the row cannot be used") from error
