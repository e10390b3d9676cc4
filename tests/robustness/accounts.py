"""Checks over the files of an output as they lie there, read without the project's own reader of results."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from s2sw.connectors.outputs.opening import open_output
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import Row
from s2sw.schemas.whole_files import TEMPORARY

Scores = dict[tuple[str, int], float]


def rows(output: str, folder: str) -> list[Row]:
    """Return all rows of all files of a folder. Fails on a file that cannot be read."""
    return [row for name in parts(output, folder) for row in _table(output, f"{folder}/{name}").to_pylist()]


def parts(output: str, folder: str) -> list[str]:
    """Return the names of a folder's files."""
    names = open_output(output, StorageSettings()).names(folder)
    return [name.removeprefix(f"{folder}/") for name in names]


def committed(output: str) -> int:
    """Count the objects in the committed parts."""
    return sum(_length(output, f"objects/{name}") for name in parts(output, "objects"))


@cache
def _length(output: str, name: str) -> int:
    """Return how many rows a part has, which never changes."""
    return len(_table(output, name))


def assert_readable(output: str) -> None:
    """Whatever a reader of the folder sees is whole, at any moment."""
    for folder in ("objects", "slices"):
        rows(output, folder)


def assert_each_once(output: str, expected: dict[str, int]) -> None:
    """Every file (by its name) is there exactly once with exactly its slices; nothing is left over."""
    objects, slices = rows(output, "objects"), rows(output, "slices")
    names = {row["object_id"]: file_name(row) for row in objects}
    assert Counter(file_name(row) for row in objects) == dict.fromkeys(expected, 1)
    assert {file_name(row): row["n_slices"] for row in objects} == expected
    found = Counter((names[row["object_id"]], row["slice_index"]) for row in slices)
    assert found == {(name, i): 1 for name, count in expected.items() for i in range(count)}
    assert set(parts(output, "slices")) == {row["part"] for row in objects if row["n_slices"]}
    assert not list(Path(output).rglob(f"{TEMPORARY}*"))


def scores(output: str) -> Scores:
    """Return the score of every slice by file name and index."""
    names = {row["object_id"]: file_name(row) for row in rows(output, "objects")}
    return {(names[r["object_id"]], r["slice_index"]): r["image_score"] for r in rows(output, "slices")}


def file_name(row: Row) -> str:
    """Return the last part of an address."""
    return Path(row["uri"]).name


def ends(output: str) -> dict[str, tuple[str, str | None]]:
    """Return status and reason of every file; fails if one is there twice."""
    found = rows(output, "objects")
    assert len({row["object_id"] for row in found}) == len(found)
    return {file_name(row): (row["status"], row["reason"]) for row in found}


def _table(output: str, name: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(open_output(output, StorageSettings()).read(name)))


def last_run(output: str) -> dict[str, Any]:
    """Return what the latest run wrote of itself."""
    name = max(name for name in parts(output, "runs") if name.endswith(".json"))
    document: dict[str, Any] = json.loads(open_output(output, StorageSettings()).read(f"runs/{name}"))
    return document
