"""Which files of an output count: parts that were committed, and what their folders say of them."""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import PurePosixPath

from s2sw.connectors.outputs.folder import OutputFolder

PARTITIONS = ("date", "site")
"""Hive folders that a run may put its parts into (``s2sw.schemas.config.PartSettings``)."""
TABLES = ("slices", "objects")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Part:
    """One committed Parquet file of a table. run: the id of the run that wrote it."""

    name: str
    run: str
    date: date | None
    site: str | None


def committed_parts(output: OutputFolder) -> dict[str, list[Part]]:
    """Return the parts of each table, by name. A part of slices counts once the same one of objects is there.

    Objects are listed first: what is committed meanwhile is left out of both.
    """
    objects = [name for name in output.names("objects") if name.endswith(".parquet")]
    committed = {name.removeprefix("objects/") for name in objects}
    slices = [name for name in output.names("slices") if name.removeprefix("slices/") in committed]
    return {"slices": [_part(name) for name in slices], "objects": [_part(name) for name in objects]}


def _part(name: str) -> Part:
    path = PurePosixPath(name)
    keys = dict(folder.split("=", 1) for folder in path.parts[1:-1] if "=" in folder)
    day = keys.get("date", "")
    return Part(
        name,
        path.name.rpartition("-")[0],
        date.fromisoformat(day) if _DATE.fullmatch(day) else None,
        keys.get("site"),
    )
