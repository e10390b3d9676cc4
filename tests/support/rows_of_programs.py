"""Print all rows of Parquet folders as a program of users reads them: rows_of_programs.py PROGRAM FOLDER...

One JSON object a row, in which bytes, texts and numbers of any width look the same from every program, behind
the number of its folder. Several folders share what a program needs a while to start.
"""

import json
import math
import sys
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]
SCRIPT = Path(__file__)
"""Run by the programs' own Python, in which there is no s2sw."""


def plain(value: Any) -> Any:
    """Return a value as JSON has it. ClickHouse and pandas know no list, or number, that is null."""
    if hasattr(value, "tolist"):  # of NumPy
        value = value.tolist()
    if isinstance(value, (bytes, bytearray, str)):
        return (value.encode() if isinstance(value, str) else bytes(value)).hex()
    if isinstance(value, datetime) and value != value:  # NaT
        return None
    if isinstance(value, date):
        return value.isoformat()[:10]
    if isinstance(value, (int, float)):
        return None if math.isnan(value) else float(value)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value] or None
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return value


def line(row: dict[str, Any]) -> str:
    """Return a row as JSON."""
    return json.dumps({name: plain(value) for name, value in row.items()}, sort_keys=True)


def spark(folder: str) -> Rows:
    from pyspark.sql import SparkSession

    # the machine's own name may have no address
    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}
    session = SparkSession.builder.master("local[1]").config(map=settings).getOrCreate()
    return [row.asDict(recursive=True) for row in session.read.parquet(folder).collect()]


def polars(folder: str) -> Rows:
    import polars

    rows: Rows = polars.scan_parquet(f"{folder}/*.parquet").collect().to_dicts()
    return rows


def clickhouse(folder: str) -> Rows:
    import chdb

    # texts would be checked for UTF-8, which masks are not
    query = (
        f"SELECT * FROM file('{folder}/*.parquet', Parquet) SETTINGS output_format_arrow_string_as_string = 0"
    )
    rows: Rows = chdb.query(query, "ArrowTable").to_pylist()
    return rows


def duckdb(folder: str) -> Rows:
    import duckdb

    read = f"SELECT * FROM read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"
    rows: Rows = duckdb.sql(read).to_arrow_table().to_pylist()
    return rows


def pandas(folder: str) -> Rows:
    import pandas

    rows: Rows = pandas.read_parquet(folder).to_dict("records")
    return rows


PROGRAMS: dict[str, Callable[[str], Rows]] = {
    "spark": spark, "polars": polars, "clickhouse": clickhouse, "duckdb": duckdb, "pandas": pandas,
}  # fmt: skip

if __name__ == "__main__":
    for number, folder in enumerate(sys.argv[2:]):
        for row in PROGRAMS[sys.argv[1]](folder):
            print(number, line(row))  # noqa: T201 (the answer)
