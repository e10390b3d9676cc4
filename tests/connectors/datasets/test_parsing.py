"""Whatever a list holds, it is a data set or one line that says what is wrong with it."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from s2sw.connectors.datasets import DataSetError, open_dataset
from s2sw.pipeline.evaluation.suites import SuiteError, read_suite

WORDS = st.sampled_from("image mask label class split a.png b.png 0 1 good test train / .. \n".split(" "))
CELLS = WORDS | st.text(max_size=6) | st.just(99 * "long")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | CELLS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["test", "img_path", "mask_path", "anomaly", "cls_name", "datasets", "path"])
            | CELLS,
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def one_line(read: Callable[[Path], object], path: Path, wrong: type[ValueError]) -> None:
    """Read a list, which gives what was asked for or an error of one line that names the file."""
    try:
        read(path)
    except wrong as error:
        message = str(error)
    else:
        return
    assert "\n" not in message
    assert path.name in message


def opened(name: str, content: bytes) -> None:
    """Open a list beside two pictures."""
    with tempfile.TemporaryDirectory() as folder:
        for picture in ("a.png", "b.png"):
            (Path(folder) / picture).touch()
        path = Path(folder) / name
        path.write_bytes(content)
        one_line(open_dataset, path, DataSetError)


@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=4))
def test_tables_as_csv(rows: list[list[str]]) -> None:
    opened("list.csv", "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass"))


@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    for name in ("list.csv", "list.parquet", "list.json"):
        opened(name, content)


@given(st.dictionaries(CELLS, st.lists(CELLS | st.none(), min_size=2, max_size=2), min_size=1, max_size=4))
def test_tables_as_parquet(columns: dict[str, list[str | None]]) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    opened("list.parquet", sink.getvalue().to_pybytes())


@given(JSON)
def test_meta_json(content: Any) -> None:
    opened("meta.json", json.dumps({"test": content}).encode())
    opened("meta.json", json.dumps(content).encode())


@given(JSON)
def test_suites(content: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "suite.yaml"
        path.write_text(json.dumps(content))
        one_line(read_suite, path, SuiteError)
