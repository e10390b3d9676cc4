"""Refusing to add to results whose ids were made under another key, or in the other mode.

They would name the same objects by other ids, and all would be screened again; and addresses beside keyed ids
would tell which is whose.
"""

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.audit import AuditError, Entry, fits, last_name, read_entry
from s2sw.pipeline.ledger.run_records import ReportError, read_run, run_ids
from s2sw.pipeline.privacy.ids import key_id
from s2sw.schemas import layout
from s2sw.schemas.layout import OBJECTS_FOLDER


def refuse_other_key(output: OutputFolder, private: bool, key: bytes | None) -> None:
    """Raise AuditError if the results were made under another id key, or in the other mode.

    private, key: of this run; a first private run has no key yet. The log says it, and the newest run's
    record: a log that was removed or exchanged must not choose the key.
    """
    name = last_name(output, key)
    if name is None:
        _refuse_lost_log(output, private)
    else:
        entry = _entry(output, name)
        _refuse(entry.get("key_id"), private, key)
        if private and key and not fits(entry, key):
            raise AuditError(
                f"{name} has no seal that fits, nor has any entry: restore the log from a copy, or name "
                "another output"
            )
    recorded = _recorded_key(output)
    if recorded:
        _refuse(recorded, private, key)


def _entry(output: OutputFolder, name: str) -> Entry:
    try:
        return read_entry(output, name)
    except ValueError as error:
        raise AuditError(
            f"{name} is damaged ({error}), and it says which key made the ids: restore it from a copy, "
            "or name another output; `s2sw audit verify` tells more"
        ) from None


def _refuse(before: str | None, private: bool, key: bytes | None) -> None:
    """Raise AuditError if this run is not one of the key of this name; None: of open mode."""
    if private and before is None:
        raise AuditError("its results are open, this run is private: name another output, or use --open")
    if before and not private:
        raise AuditError(
            "its results are private, this run is open: name another output, or leave out --open"
        )
    now = key_id(key) if key else "a new one"
    if before and before != now:
        raise AuditError(
            f"its results have ids made with key {before}, this run would take {now}: restore the key, "
            "or name another output"
        )


def _refuse_lost_log(output: OutputFolder, private: bool) -> None:
    """Raise AuditError for results without a log: nothing says which key a private run has to take."""
    if private and (run_ids(output) or layout.parts(output.names(OBJECTS_FOLDER))):
        raise AuditError(
            "it holds results but no audit log, which says which key made the ids: restore audit/ from a "
            "copy, or name another output"
        )


def _recorded_key(output: OutputFolder) -> str:
    """Return the name of the key in the newest record that can be read, "" where there is none."""
    for run_id in reversed(run_ids(output)):
        try:
            return read_run(output, run_id).summary.key_id
        except (ReportError, FileNotFoundError):
            continue
    return ""
