"""Opening an output by its address."""

from pathlib import Path

from connectors.outputs.folder import OutputFolder
from connectors.outputs.local import LocalOutput
from connectors.outputs.s3 import S3Output
from connectors.storage.s3 import is_s3
from schemas.storage import StorageSettings


def open_output(uri: str, settings: StorageSettings) -> OutputFolder:
    """Return the results folder at a local path or an ``s3://`` prefix."""
    return S3Output(uri, settings) if is_s3(uri) else LocalOutput(Path(uri))
