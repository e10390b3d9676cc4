"""Whether results are private: decided by the strictest trace of a run, not by one file.

A run's record can be changed by whoever may write to the output. Private mode leaves more traces: records of
other runs, a key's name and a seal in the audit log, objects without an address.
"""

import duckdb

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.audit import AuditError, entries, verify
from s2sw.pipeline.ledger.run_records import ReportError, read_run, run_ids
from s2sw.schemas.errors import FailedError


class UnverifiedError(FailedError):
    """The audit log does not show that the results are what runs left; the message says what to do."""


def results_are_private(output: OutputFolder, connection: duckdb.DuckDBPyConnection | None = None) -> bool:
    """Tell whether any trace says that the results are private; also true if there is no trace.

    A damaged record or log counts as private. connection: to the results; without one, addresses in the rows
    are not checked.
    """
    runs = run_ids(output)
    return (
        not runs
        or any(_says_private(output, run_id) for run_id in reversed(runs))
        or _log_says_private(output)
        or (connection is not None and _has_objects_without_address(connection))
    )


def check_seals(output: OutputFolder, key: bytes | None) -> None:
    """Raise UnverifiedError unless the audit log is consistent with its seals and the records of runs."""
    try:
        verdict = verify(output, key)
    except AuditError as error:
        raise UnverifiedError(f"{output.root}: {error}; nothing is revealed") from error
    if verdict.problems:
        raise UnverifiedError(
            f"{output.root}: the audit log does not fit ({verdict.problems[0]}); nothing is revealed: see "
            "`s2sw audit verify`"
        )
    if verdict.unchecked_seals or not verdict.sealed:
        raise UnverifiedError(
            f"{output.root}: the seals of the audit log cannot be checked without its id key, and nothing is "
            "revealed unchecked; name the key's folder with --private-dir"
        )


def _says_private(output: OutputFolder, run_id: str) -> bool:
    try:
        return read_run(output, run_id).private
    except (ReportError, FileNotFoundError):
        return True


def _log_says_private(output: OutputFolder) -> bool:
    try:
        return any(entry.get("key_id") or entry.get("mode", "open") != "open" for entry in entries(output))
    except AuditError:
        return True


def _has_objects_without_address(connection: duckdb.DuckDBPyConnection) -> bool:
    return bool(connection.execute("SELECT 1 FROM all_objects WHERE uri IS NULL LIMIT 1").fetchall())
