"""Opening results that exist, with errors that a user can mend."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.opening import open_output
from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.ledger.committed import committed
from s2sw.pipeline.ledger.run_records import ReportError
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings


def open_existing(output: str, storage: StorageSettings) -> OutputFolder:
    """Return an output folder to read. Raises ReportError where there is none."""
    if not is_s3(output) and not Path(output).is_dir():
        raise ReportError(f"no such output: {output} is not a folder")
    return open_output(output, storage)


def damaged_parts(output: OutputFolder) -> list[str]:
    """Return the names of parts that no reader can open. Raises ReportError."""
    with readable(output):
        return committed(output).damaged


@contextlib.contextmanager
def readable(output: OutputFolder) -> Iterator[None]:
    """Turn failures of storage into a ReportError."""
    try:
        yield
    except ScreeningError as error:
        advice = {
            Reason.NOT_FOUND: "no such bucket or folder",
            Reason.DENIED: "permission denied; for S3 check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            Reason.TIMEOUT: "the storage does not answer; check the endpoint",
        }
        raise ReportError(f"cannot read {output.root}: {advice.get(error.reason, error.detail)}") from error
    except (OSError, pa.ArrowException) as error:
        text = " ".join(str(error).split())
        raise ReportError(f"cannot read {output.root}: {text}") from error
