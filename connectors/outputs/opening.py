"""Opening an output by its address."""

from pathlib import Path

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.outputs.s3 import S3Output
from s2sw.connectors.storage.s3 import is_s3
from s2sw.schemas.storage import StorageSettings


def open_output(uri: str, settings: StorageSettings) -> OutputFolder:
    """Return the results folder at a local path or an ``s3://`` prefix."""
    return S3Output(uri, settings) if is_s3(uri) else LocalOutput(Path(uri))
