"""Whether the files of the tables are such as runs write: what their footers say, beside the schemas.

Whoever may write to an output may plant a part. One that has other types of columns, lacks some or says that
it holds far too much counts as damaged; of the others it is known here, once, which columns they have.
"""

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from weakref import WeakKeyDictionary

import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.parquet.footer import Footer, NoParquetError
from s2sw.schemas import forms
from s2sw.schemas.layout import OBJECTS_FOLDER, SLICES_FOLDER
from s2sw.schemas.tables import OBJECTS, SLICES

FILE_COLUMN = "__file"
"""What readers call the column with a row's file; no file may have one of this name."""
NEEDED = {
    "object_id", "slice_index", "n_slices", "image_score", "status", "part", "run_id", "fingerprint"
}  # fmt: skip
"""Columns that every version wrote, of the tables that have them."""
THREADS = 16
"""Footers read at once: on S3 each is a request."""
FEW = 8
"""Parts for which no threads are started."""
_SCHEMAS = {SLICES_FOLDER: SLICES, OBJECTS_FOLDER: OBJECTS}
_KNOWN: WeakKeyDictionary[OutputFolder, dict[tuple[str, int], "Look"]] = WeakKeyDictionary()
Look = tuple[str, ...] | str
"""The names of a part's columns; or, as one text, what is wrong with it."""


def looks(output: OutputFolder, sizes: Mapping[str, int]) -> dict[str, Look]:
    """Return a look at each of the parts, listed with their bytes. Each is read once for an output opened.

    Raises FileNotFoundError if one is gone since.
    """
    known = _KNOWN.setdefault(output, {})
    new = [one for one in sizes.items() if one not in known]
    if len(new) <= FEW:
        known.update((one, _look(output, *one)) for one in new)
    else:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="footer") as pool:
            known.update(zip(new, pool.map(lambda one: _look(output, *one), new), strict=True))
    return {one[0]: known[one] for one in sizes.items()}


def problem_of(footer: Footer, schema: pa.Schema) -> str:
    """Return what of a file is not what a run writes; "" for a sound one.

    Columns that the schema does not know are those of a later version; those that are missing were unknown to
    an earlier one, but for NEEDED.
    """
    if footer.rows > forms.PART_ROWS or footer.inflated > forms.PART_BYTES:
        return f"says that it holds {footer.rows:,} rows of {footer.inflated >> 20:,} MiB"
    if footer.values > forms.PART_VALUES:
        return f"says that it holds lists of {footer.values:,} values"
    if FILE_COLUMN in footer.columns:
        return f"has a column {FILE_COLUMN}"
    for field in schema:
        kind = footer.columns.get(field.name)
        if kind is None and field.name in NEEDED:
            return f"lacks the column {field.name}"
        if kind is not None and kind != field.type:
            return f"has another type of column {field.name}"
    return ""


def _look(output: OutputFolder, name: str, size: int) -> Look:
    try:
        footer = output.footer(name, size)
    except NoParquetError as error:
        return str(error)
    return problem_of(footer, _SCHEMAS[name.partition("/")[0]]) or tuple(map(sys.intern, footer.columns))
