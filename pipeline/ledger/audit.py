"""Who ran what, when and with which outcome: entries that are only added, each bound to all before it.

An entry is one line of JSON in a file of its own, ``audit/00000000.jsonl``, created once and never written
again: so a file system and S3 are the same, and ``cat audit/*.jsonl`` is the whole log. Every entry holds the
SHA-256 of the one before; in private mode also an HMAC under a key derived from the id key.
"""

import contextlib
import getpass
import hashlib
import hmac
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.summary import versions
from s2sw.pipeline.privacy.ids import key_id
from s2sw.schemas import layout
from s2sw.schemas.config import ScreenConfig, config_hash
from s2sw.schemas.errors import FailedError
from s2sw.schemas.layout import AUDIT_FOLDER, OBJECTS_FOLDER, RUNS_FOLDER
from s2sw.schemas.run_record import RunSummary

START = "0" * 64
"""What the first entry holds in place of a hash."""
STARTED, COMPACTED = "started", "compacted"
SCOPE = "key_scope"
"""What the key of an output of its own was derived with (``output_key``); left out for the shared one."""

Entry = dict[str, Any]


class AuditError(FailedError):
    """The log cannot be written or read; the message says why."""


class AuditLog:
    """Adds entries to the log of an output.

    key: the id key of private mode, None in open mode. scope: what the key was derived with, if it was.
    """

    def __init__(self, output: OutputFolder, key: bytes | None, scope: str = "") -> None:
        self._output, self._key, self._scope = output, key, scope

    def append(self, event: str, run_id: str, facts: Entry) -> None:
        """Add one entry. Raises AuditError if another process adds one at the same time."""
        number, before = self._next()
        entry: Entry = {
            "entry": number,
            "previous": _digest(before) if before is not None else START,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "event": event,
            "run_id": run_id,
            "key_id": key_id(self._key) if self._key else None,
            **({SCOPE: self._scope} if self._scope else {}),
            **facts,
        }
        if self._key:
            entry["seal"] = _seal(entry, self._key)
        if not self._output.create(layout.entry_name(number), _line(entry)):
            raise AuditError(f"{AUDIT_FOLDER}: another process has just added entry {number}")

    def _next(self) -> tuple[int, bytes | None]:
        """Return the next entry's number, and the bytes of the entry before it.

        That is the last one of this log: a file that somebody else put there must not end all later runs.
        """
        name = last_name(self._output, self._key)
        number = layout.entry_number(name) + 1 if name else 0
        taken = set(map(layout.entry_number, entry_names(self._output)))
        while number in taken:
            number += 1
        return number, self._output.read(name) if name else None


@dataclass
class Verdict:
    """What a check of the log found. head: the hash that the next entry will hold.

    sealed: entries whose seal was checked; unchecked_seals: those whose key was not given; unsealed: those
    that have none, as in open mode.
    """

    entries: int = 0
    head: str = START
    sealed: int = 0
    unchecked_seals: int = 0
    unsealed: int = 0
    problems: list[str] = field(default_factory=list)


def verify(output: OutputFolder, key: bytes | None = None, noted_head: str | None = None) -> Verdict:
    """Check hashes, order and seals of all entries, and that every run with results has its entries.

    key: the id key, without which seals cannot be checked. noted_head: a head noted down earlier, which must
    be part of the log. Found are entries that were changed, removed or exchanged, and cut-off ends of which
    results remain or whose head was noted. Not found: a log that was rewritten as a whole by somebody with
    the key (or in open mode by anybody who may write), and a cut-off end whose results went with it.
    """
    verdict = Verdict()
    heads, runs = {START}, set[str]()
    for place, name in enumerate(entry_names(output)):
        data = output.read(name)
        try:
            entry = _parse(data)
        except ValueError as error:
            verdict.problems.append(f"{name}: {error}")
        else:
            verdict.problems += _entry_problems(entry, place, name, verdict.head)
            _check_seal(entry, key, name, verdict)
            runs.add(str(entry.get("run_id")))
        verdict.entries, verdict.head = verdict.entries + 1, _digest(data)
        heads.add(verdict.head)
    if noted_head is not None and noted_head not in heads:
        verdict.problems.append(
            f"the head noted earlier, {noted_head}, is not in the log: its end was cut off"
        )
    verdict.problems += [
        f"{name!a}: its name is that of no entry, nobody reads it; look at it and remove it"
        for name in output.names(AUDIT_FOLDER)
        if layout.entry_number(name) < 0
    ]
    for run_id in sorted(_runs_with_results(output) - runs):
        verdict.problems.append(f"run {run_id} left results but no entry: entries were removed")
    if verdict.unsealed and verdict.sealed + verdict.unchecked_seals:
        verdict.problems.append(f"{verdict.unsealed} entries have no seal, the others have")
    _check_records(output, verdict)
    return verdict


def entry_names(output: OutputFolder) -> list[str]:
    """Return the names of the entries' files in their order; files of other names are none."""
    names = (name for name in output.names(AUDIT_FOLDER) if layout.entry_number(name) >= 0)
    return sorted(names, key=layout.entry_number)


def last_name(output: OutputFolder, key: bytes | None) -> str | None:
    """Return the name of the last entry whose seal fits, without a key of the last that is one.

    Where there is none, that of the last file; None for an empty log.
    """
    names = entry_names(output)
    for name in reversed(names):
        with contextlib.suppress(ValueError):
            entry = _parse(output.read(name))
            if entry.get("entry") == layout.entry_number(name) and (key is None or fits(entry, key)):
                return name
    return names[-1] if names else None


def read_entry(output: OutputFolder, name: str) -> Entry:
    """Return an entry. Raises ValueError for a file that is none."""
    return _parse(output.read(name))


def fits(entry: Entry, key: bytes) -> bool:
    """Tell whether an entry was sealed with this key and not changed since."""
    return hmac.compare_digest(str(entry.get("seal")).encode(), _seal(entry, key).encode())


def first_entry(output: OutputFolder) -> Entry | None:
    """Return the first entry that can be read, None where there is none."""
    for name in entry_names(output):
        with contextlib.suppress(ValueError):
            return _parse(output.read(name))
    return None


def entries(output: OutputFolder) -> Iterator[Entry]:
    """Yield the entries in their order. Raises AuditError for one that is none."""
    for name in entry_names(output):
        try:
            yield _parse(output.read(name))
        except ValueError as error:
            raise AuditError(f"{name}: {error}") from None


def who() -> Entry:
    """Return the account, the machine and the process that this is."""
    user = ""
    with contextlib.suppress(OSError, KeyError, ImportError):  # an account without a name
        user = getpass.getuser()
    return {"user": user, "uid": os.getuid(), "host": socket.gethostname(), "pid": os.getpid()}


def start_facts(config: ScreenConfig, bundle: str, fingerprint: str, key: bytes | None) -> Entry:
    """Return what is known of a run when it starts.

    bundle, fingerprint: as in the tables of results. key: the id key of private mode.
    """
    return {
        **who(),
        "version": versions()["s2sw"],
        "mode": config.mode,
        "config_hmac" if key else "config_sha256": config_hash(config, key),
        "bundle": bundle,
        "fingerprint": fingerprint,
    }


def end_facts(summary: RunSummary, record: bytes) -> Entry:
    """Return the outcome of a run. record: the bytes of its own file, ``runs/RUN.json``."""
    counts = ("listed", "by_status", "new", "reasons", "slices", "missing", "duplicates", "exit_code")
    names = ("fingerprint", "profile", *counts)  # a run that made a profile started without
    return {name: getattr(summary, name) for name in names} | {"record_sha256": _digest(record)}


def _entry_problems(entry: Entry, place: int, name: str, head: str) -> Iterator[str]:
    if layout.entry_number(name) != place or entry.get("entry") != place:
        yield f"{name}: entry {place} is expected here; one was removed or exchanged"
    if entry.get("previous") != head:
        yield f"{name}: it was not written after the entry before it, which was changed or exchanged"


def _check_seal(entry: Entry, key: bytes | None, name: str, verdict: Verdict) -> None:
    if entry.get("key_id") is None:
        verdict.unsealed += 1
        return
    if key is None or entry["key_id"] != key_id(key):
        verdict.unchecked_seals += 1
        return
    verdict.sealed += 1
    if not fits(entry, key):
        verdict.problems.append(f"{name}: its seal does not fit; it was changed, or written without the key")


def _check_records(output: OutputFolder, verdict: Verdict) -> None:
    """Compare the runs' own files with what the entries say of them."""
    with contextlib.suppress(AuditError):  # said already
        for entry in entries(output):
            if "record_sha256" not in entry:
                continue
            try:
                name = layout.record_name(entry.get("run_id", ""))
            except ValueError as error:
                verdict.problems.append(f"an entry names a run by what is none: {error}")
                continue
            try:
                same = _digest(output.read(name)) == entry["record_sha256"]
            except FileNotFoundError:
                verdict.problems.append(f"{name}: removed since its run ended")
            else:
                if not same:
                    verdict.problems.append(f"{name}: changed since its run ended")


def _runs_with_results(output: OutputFolder) -> set[str]:
    runs = set(layout.run_ids(output.names(RUNS_FOLDER)))
    for name in layout.parts(output.names(OBJECTS_FOLDER)):
        part = layout.part_of(name)
        runs.add(part.run)
        if part.merged:  # of several runs, the newest of which gave its name
            with contextlib.suppress(pa.ArrowException, FileNotFoundError, KeyError):  # `s2sw verify` says so
                runs.update(map(str, output.read_columns(name, ["run_id"])["run_id"].unique().to_pylist()))
    return runs


def _parse(data: bytes) -> Entry:
    """Return an entry. Raises ValueError unless the bytes are exactly one that was written here."""
    try:
        entry = json.loads(data)
    except RecursionError:
        entry = None
    if not isinstance(entry, dict) or _line(entry) != data:
        raise ValueError("not one line of an entry")
    return entry


def _line(entry: Entry) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _seal(entry: Entry, key: bytes) -> str:
    own = hmac.digest(key, b"audit", "sha256")  # a key of its own domain
    return hmac.digest(own, _line({k: v for k, v in entry.items() if k != "seal"}), "sha256").hex()
