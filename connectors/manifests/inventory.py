"""S3 Inventory: a manifest.json that names data files in CSV, Parquet or ORC.

Source: Amazon S3 User Guide, "Locating your inventory list" (keys of manifest.json) and "Cataloging and
analyzing your data with S3 Inventory" (columns; in CSV keys are URL-encoded and there is no header).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote_to_bytes

import pyarrow as pa
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from s2sw.connectors.manifests.columns import RowError
from s2sw.connectors.manifests.files import ManifestError, opened
from s2sw.connectors.manifests.tables import batches
from s2sw.connectors.storage.s3 import is_s3, split_s3
from s2sw.schemas.storage import StorageSettings

LONGEST = 64 << 20
"""Bytes of a manifest.json at most."""
COLUMNS = ("key", "bucket", "size", "e_tag", "last_modified_date", "is_latest", "is_delete_marker")
"""Names of what is read, as in Parquet and ORC; the key comes first, since it must be there."""
_ARN = "arn:aws:s3:::"
_CSV_NAMES = {"".join(name.split("_")): name for name in COLUMNS}

Bucket = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.\-_]{1,254}$")]


class DataFile(BaseModel):
    """One data file. key: in the destination bucket; size: in bytes."""

    key: Annotated[str, StringConstraints(min_length=1)]
    size: int = Field(ge=0)


class Inventory(BaseModel):
    """What a manifest.json says, as far as it is used."""

    source: Bucket = Field(alias="sourceBucket")
    destination: str = Field(alias="destinationBucket")
    format: str = Field(alias="fileFormat")
    columns: str = Field(alias="fileSchema")
    files: list[DataFile]


def read_inventory(address: str, settings: StorageSettings) -> Inventory:
    """Return what a manifest.json says. Raises ManifestError."""
    with opened(address, settings) as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise ManifestError(address, f"has more than {LONGEST >> 20} MiB")
    try:
        found = Inventory.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ManifestError(address, f"is no manifest of S3 Inventory ({where}: {first['msg']})") from None
    if found.format.lower() not in ("csv", "parquet", "orc"):
        raise ManifestError(address, "fileFormat is none of CSV, Parquet and ORC")
    # S3 puts manifest and data into one bucket; one that names another would have us read there for it
    if is_s3(address) and found.destination.removeprefix(_ARN) != split_s3(address)[0]:
        raise ManifestError(address, "destinationBucket is not the bucket that this file lies in")
    return found


def inventory_batches(
    address: str, inventory: Inventory, settings: StorageSettings
) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Yield the name of a data file and a batch of its rows (of COLUMNS those that there are)."""
    names = _csv_columns(inventory.columns) if inventory.format.lower() == "csv" else None
    for file in inventory.files:
        place = _place(address, inventory, file)
        for batch in batches(place, COLUMNS, settings, names):
            yield place, batch


def decoded_keys(keys: list[str]) -> list[str]:
    """Return the keys of a CSV file, which are URL-encoded. Raises RowError where one is not UTF-8."""
    return [_decoded(row, key) for row, key in enumerate(keys)]


def _decoded(row: int, key: str) -> str:
    try:
        # a plus is a space: one that is meant is written as %2B
        return unquote_to_bytes(key.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise RowError(row, "is not UTF-8") from None


def _csv_columns(schema: str) -> list[str]:
    """Return the columns of a CSV file by the names that Parquet has: "Key, IsLatest" is key, is_latest."""
    names = [name.strip() for name in schema.split(",")]
    return [_CSV_NAMES.get(name.lower(), name) for name in names]


def _place(address: str, inventory: Inventory, file: DataFile) -> str:
    """Return where a data file lies: in the destination bucket, or beside a local copy of the manifest."""
    if is_s3(address):
        return f"s3://{split_s3(address)[0]}/{file.key}"
    name = Path(file.key).name
    near = Path(address).absolute().parent
    beside = (near / name, near.parent / "data" / name)
    return str(next((path for path in beside if path.is_file()), beside[0]))
