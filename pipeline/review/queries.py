"""Asking DuckDB."""

from collections.abc import Sequence
from typing import Any

import duckdb

from s2sw.schemas.tables import Row


def rows_of(cursor: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] = ()) -> list[Row]:
    """Return what a query finds. values: of its parameters, in order."""
    rows: list[Row] = cursor.sql(query, params=list(values)).to_arrow_table().to_pylist()
    return rows
