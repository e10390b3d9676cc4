"""Results as pyarrow datasets: a list of committed files, opened when they are scanned."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.schemas.layout import PARTITIONS, Part

_PARTITION_TYPES = {"date": pa.date32(), "site": pa.string()}
_VERSION = ("object_id", "fingerprint", "run_id")


def dataset_of(
    output: OutputFolder, parts: list[Part], schema: pa.Schema, superseded: pa.Table
) -> ds.Dataset:
    """Return the rows of these parts, with a column for each Hive folder in use.

    superseded: object_id, fingerprint and run_id of rows to leave out. Columns that a file of an earlier
    version lacks are null.
    """
    keys = [key for key in PARTITIONS if any(getattr(part, key) for part in parts)]
    whole = pa.schema([*schema, *(pa.field(key, _PARTITION_TYPES[key]) for key in keys)])
    if not parts:
        return ds.dataset(whole.empty_table())
    remote = output.reader(parts[0].name.partition("/")[0])
    found = ds.FileSystemDataset.from_paths(
        [output.address(part.name).removeprefix("s3://") for part in parts],
        schema=whole,
        format=ds.ParquetFileFormat(),
        filesystem=pafs.PyFileSystem(pafs.FSSpecHandler(remote)) if remote else pafs.LocalFileSystem(),
        partitions=[_partition(part, keys) for part in parts],
    )
    if not len(superseded):
        return found
    columns = [superseded[name] for name in _VERSION]
    gone = pc.binary_join_element_wise(*columns, "/").combine_chunks()
    version = pc.binary_join_element_wise(*map(pc.field, _VERSION), pc.scalar("/"))
    return found.filter(~version.isin(gone))


def _partition(part: Part, keys: list[str]) -> pc.Expression:
    """Return what is true of all rows of a part."""
    known = pc.scalar(True)
    for key in keys:
        value = getattr(part, key)
        known &= pc.field(key) == value if value is not None else pc.field(key).is_null()
    return known
