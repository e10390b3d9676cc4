"""Results as pyarrow datasets: a list of committed files, opened when they are scanned."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pafs

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.schemas.layout import Part

_VERSION = ("object_id", "fingerprint", "run_id")


def dataset_of(
    output: OutputFolder, parts: list[Part], schema: pa.Schema, superseded: pa.Table
) -> ds.Dataset:
    """Return the rows of these parts.

    superseded: object_id, fingerprint and run_id of rows to leave out. Columns that a file of an earlier
    version lacks are null.
    """
    if not parts:
        return ds.dataset(schema.empty_table())
    remote = output.reader(parts[0].name.partition("/")[0])
    found = ds.FileSystemDataset.from_paths(
        [output.address(part.name).removeprefix("s3://") for part in parts],
        schema=schema,
        format=ds.ParquetFileFormat(),
        filesystem=pafs.PyFileSystem(pafs.FSSpecHandler(remote)) if remote else pafs.LocalFileSystem(),
        partitions=[_partition(part) for part in parts],
    )
    if not len(superseded):
        return found
    columns = [superseded[name] for name in _VERSION]
    gone = pc.binary_join_element_wise(*columns, "/").combine_chunks()
    version = pc.binary_join_element_wise(*map(pc.field, _VERSION), pc.scalar("/"))
    return found.filter(~version.isin(gone))


def _partition(part: Part) -> pc.Expression:
    """Return what its name says of all rows of a part; files of earlier versions say it nowhere else."""
    known = pc.scalar(True)
    if part.date and not part.merged:
        known &= pc.field("date") == part.date
    if part.site is not None:
        known &= pc.field("site") == part.site
    return known
