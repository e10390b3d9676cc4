"""CSV and Parquet lists: VisA's ``split_csv/1cls.csv``, and plain tables of image, mask, label.

Source of VisA's columns (object, split, label, image, mask): Zou et al., ECCV 2022.
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from s2sw.connectors.datasets.places import place_of
from s2sw.connectors.datasets.samples import DataSetError, Sample
from s2sw.connectors.parquet.footer import NoParquetError
from s2sw.connectors.parquet.tables import bounded_table

SUFFIXES = frozenset({".csv", ".parquet"})
SPLITS = "split_csv"
VISA = f"{SPLITS}/1cls.csv"
GROUPS = ("class", "object", "cls_name")
LABELS = {
    **dict.fromkeys(("0", "0.0", "false", "normal", "good", "ok"), False),
    **dict.fromkeys(("1", "1.0", "true", "anomaly", "anomalous", "defect", "bad", "ko"), True),
}


def read_table(path: Path, split: str = "test") -> list[Sample]:
    """Return the samples of a table, of one split where it has a column ``split``.

    Columns: ``image``; ``mask`` or ``label`` or both; ``class`` (or ``object``) if there are several. Without
    a label the mask decides. Paths are relative to the table, VisA's to the folder above ``split_csv``.
    Raises DataSetError that names the row, counted from 1 without the header.
    """
    rows = _rows(path)
    root = path.parent.parent if path.parent.name == SPLITS else path.parent
    columns = rows[0].keys() if rows else set()
    if rows and ("image" not in columns or not columns & {"mask", "label"}):
        raise DataSetError(
            f"{path}: has the columns {', '.join(columns)}; 'image' and 'mask' or 'label' are needed"
        )
    kept = [(number, row) for number, row in enumerate(rows, 1) if row.get("split", split) == split]
    if not kept:
        raise DataSetError(f"{path}: {len(rows)} rows, none of them of split {split!r}")
    return [_sample(path, root, number, row) for number, row in kept]


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows as texts; what is empty or null is an empty text."""
    try:
        if path.suffix.lower() == ".parquet":
            with path.open("rb") as file:
                table = bounded_table(file)
        else:
            names = pacsv.open_csv(path).schema.names
            texts = pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
            table = pacsv.read_csv(path, convert_options=texts)
    except (pa.ArrowException, OSError, UnicodeDecodeError, NoParquetError) as error:
        raise DataSetError(f"{path}: not readable ({' '.join(str(error).split())})") from error
    return [{key: _text(value) for key, value in row.items()} for row in table.to_pylist()]


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _sample(path: Path, root: Path, number: int, row: dict[str, str]) -> Sample:
    where = f"{path}: row {number}"
    anomalous = _label(row["label"], where) if row.get("label") else None
    if not row["image"]:
        raise DataSetError(f"{where}: 'image' is empty; a path is expected")
    if anomalous is None and not row.get("mask"):
        raise DataSetError(f"{where}: neither 'label' nor 'mask' says whether {row['image']!r} is anomalous")
    named = row.get("mask") if anomalous is not False else None
    mask = place_of(root, named, f"{where}: 'mask'") if named else None
    group = next((row[name] for name in GROUPS if row.get(name)), root.absolute().name)
    image = place_of(root, row["image"], f"{where}: 'image'")
    return Sample(group, row["image"], image, mask, anomalous)


def _label(text: str, where: str) -> bool:
    if text.lower() not in LABELS:
        raise DataSetError(f"{where}: 'label' is {text!r}; 0, 1, normal or anomaly is expected")
    return LABELS[text.lower()]
