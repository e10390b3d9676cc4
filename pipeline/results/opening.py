"""Opening results that exist, with errors that a user can correct."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.opening import open_output
from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.ledger.committed import committed
from s2sw.pipeline.ledger.run_records import ReportError
from s2sw.pipeline.results.sql_views import settings_of
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings

log = logging.getLogger(__name__)


def open_existing(output: str, storage: StorageSettings) -> OutputFolder:
    """Return an output folder to read. Raises ReportError where there is none."""
    if not is_s3(output) and not Path(output).is_dir():
        raise ReportError(f"no such output: {output} is not a folder")
    return open_output(output, storage)


def damaged_parts(output: OutputFolder) -> str:
    """Return one line of the parts that no reader can use; "" if there are none. Raises ReportError."""
    with readable(output):
        return committed(output).says_damaged


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
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        text = " ".join(str(error).split())
        raise ReportError(f"cannot read {output.root}: {text}") from error


def chosen_fingerprint(connection: duckdb.DuckDBPyConnection, output: OutputFolder, asked: str | None) -> str:
    """Return the fingerprint to read: the newest run's, or the one that begins with ``asked``.

    Logs which others are left out. Raises ReportError if there are no results, or none with that fingerprint.
    """
    known = settings_of(connection)
    if not known:
        raise ReportError(f"{output.root} holds no results yet; screen something first")
    fits = [name for name in known if name.startswith(asked or "")]
    if not fits or (asked and len(fits) > 1):
        listed = ", ".join(name[:12] for name in known)
        raise ReportError(f"--fingerprint {asked}: one of {listed} is expected")
    others = [f"{count:,} slices of {name[:12]}" for name, count in known.items() if name != fits[0]]
    if others:
        log.warning(
            "%s", f"results under other settings are left out ({', '.join(others)}); --fingerprint chooses"
        )
    return fits[0]
