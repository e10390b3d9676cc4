"""Results as somebody else wrote them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner, Result

from s2sw.jobs.cli import app
from tests.support.screened import Screened


def forge(screened: Screened, table: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Replace rows of a table by what ``change`` makes of them, in all its parts."""
    for path in sorted((screened.output / table).rglob("*.parquet")):
        whole = pq.ParquetFile(path).read()
        rows = [row | change(row) for row in whole.to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, schema=whole.schema), path)


def only(object_id: str, /, **changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a change of the rows of one object."""
    return lambda row: changes if row["object_id"] == object_id else {}


def export(screened: Screened, to: Path, *arguments: str) -> Result:
    command = ["export", screened.output, "--to", to, "--private-dir", screened.private, *arguments]
    return CliRunner().invoke(app, [str(part) for part in command])


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))
