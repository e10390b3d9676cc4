"""Rows of CSV, Parquet and ORC files, a batch at a time, with the columns that are asked for."""

import csv
import gzip
import io
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.orc
import pyarrow.parquet as pq

from s2sw.connectors.manifests.files import ManifestError, opened
from s2sw.connectors.parquet.footer import NoParquetError
from s2sw.connectors.parquet.tables import bounded_batches
from s2sw.schemas.storage import StorageSettings

ROWS = 10_000
BATCH_BYTES = 1 << 29
"""Of so many rows of a Parquet file: 50 KB each."""
BLOCK = 1 << 20
"""Bytes of CSV that are parsed at once; a row must be shorter."""
HEADER = 1 << 16
_RAGGED = re.compile(r"Row #(\d+): Expected")
CSV_SUFFIXES, PARQUET, ORC = (".csv", ".csv.gz"), ".parquet", ".orc"


def batches(
    address: str, wanted: Sequence[str], settings: StorageSettings, names: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield batches with those of the wanted columns that the file has. Raises ManifestError.

    The first of the wanted must be there. names: of the columns of a CSV file that has no header.
    """
    lower = address.lower()
    try:
        if lower.endswith(CSV_SUFFIXES):
            yield from _csv(address, wanted, settings, names)
        elif lower.endswith(PARQUET):
            yield from _parquet(address, wanted, settings)
        elif lower.endswith(ORC):
            yield from _orc(address, wanted, settings)
        else:
            raise ManifestError(
                address, "is none of .csv, .csv.gz, .parquet, or S3 Inventory's manifest.json"
            )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError) as error:
        kind = lower.rpartition(".")[2]
        raise ManifestError(address, f"is damaged, or no {kind} file") from error


def _csv(
    address: str, wanted: Sequence[str], settings: StorageSettings, names: Sequence[str] | None
) -> Iterator[pa.RecordBatch]:
    header = list(names) if names else _header(address, settings)
    present = _present(address, header, wanted)
    with opened(address, settings) as file:
        try:
            reader = pa.csv.open_csv(
                _unpacked(address, file),
                read_options=pa.csv.ReadOptions(use_threads=False, block_size=BLOCK, column_names=names),
                parse_options=pa.csv.ParseOptions(newlines_in_values=True),
                convert_options=pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(present, pa.binary()), include_columns=present,
                    strings_can_be_null=False, check_utf8=False,
                ),
            )  # fmt: skip
            yield from reader
        except pa.ArrowInvalid as error:
            if ragged := _RAGGED.search(
                str(error)
            ):  # a handler of rows does not see those that are not UTF-8
                row = int(ragged[1]) - (not names)
                raise ManifestError(address, f"row {row} has not as many values as the header") from error
            if "straddl" in str(error):
                raise ManifestError(address, f"has a row of more than {BLOCK} bytes") from error
            if names and "Empty CSV" in str(error):
                return  # a data file without rows
            raise


def _header(address: str, settings: StorageSettings) -> list[str]:
    with opened(address, settings) as file:
        start = _unpacked(address, file).read(HEADER)
    try:
        first = next(csv.reader(io.StringIO(start.decode("utf-8-sig", "replace"), newline="")), [])
    except csv.Error:
        raise ManifestError(address, "has no header that can be read") from None
    return first


def _unpacked(address: str, file: BinaryIO) -> BinaryIO:
    return gzip.GzipFile(fileobj=file) if address.lower().endswith(".gz") else file  # type: ignore[return-value]


def _parquet(address: str, wanted: Sequence[str], settings: StorageSettings) -> Iterator[pa.RecordBatch]:
    with opened(address, settings, ahead=False) as file:
        present = _present(address, pq.read_schema(file).names, wanted)
        try:
            yield from bounded_batches(file, ROWS, BATCH_BYTES, present)
        except NoParquetError as error:
            raise ManifestError(address, f"{error} in {ROWS} rows") from None


def _orc(address: str, wanted: Sequence[str], settings: StorageSettings) -> Iterator[pa.RecordBatch]:
    with opened(address, settings, ahead=False) as file:
        orc = pyarrow.orc.ORCFile(file)
        present = _present(address, orc.schema.names, wanted)
        for stripe in range(orc.nstripes):
            rows = orc.read_stripe(stripe, present)
            for start in range(0, len(rows), ROWS):
                yield rows.slice(start, ROWS)


def _present(address: str, names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the wanted columns that there are."""
    present = [name for name in wanted if name in names]
    if wanted[0] not in present:
        raise ManifestError(address, f"the column {wanted[0]!r} is missing")
    twice = next((name for name in present if list(names).count(name) > 1), None)
    if twice:
        raise ManifestError(address, f"the column {twice!r} occurs twice")
    return present
