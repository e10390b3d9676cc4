"""The decisions that the page shows: read as they are added, by whoever, and added to."""

import threading
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.flagging.decisions import (
    Decision,
    append,
    compact,
    counting,
    decision_files,
    ordered,
    read_files,
)
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.tables import DECISIONS, Row


@dataclass(frozen=True, slots=True)
class SliceKey:
    """Which slice, under which settings."""

    object_id: str
    slice_index: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Undoable:
    """A decision of this session: what was decided, and what counted before (None: nothing)."""

    key: SliceKey
    made: Decision
    before: Row | None


class DecisionLog:
    """One reviewer's view of everybody's decisions. Safe for several threads."""

    def __init__(self, output: OutputFolder, reviewer: str) -> None:
        self.reviewer = reviewer
        self._output = output
        self._lock = threading.RLock()
        self._names: set[str] = set()
        self._rows = DECISIONS.empty_table()
        self._said: dict[SliceKey, list[Row]] = {}
        self._counting = self._rows
        self._last_instant = datetime.fromtimestamp(0, UTC)
        self._undoable: list[Undoable] = []
        self.version = 0  # grows as decisions are read
        compact(output)

    def refresh(self) -> None:
        """Read what was added since, by this process or another."""
        with self._lock:
            names = set(decision_files(self._output))
            if names == self._names:
                return
            # files that are gone were rewritten as others: their rows are there already
            added = read_files(self._output, sorted(names - self._names))
            self._rows = ordered(pa.concat_tables([self._rows, added]))
            self._counting = counting(self._rows)
            said: dict[SliceKey, list[Row]] = {}
            for row in self._counting.to_pylist():
                said.setdefault(key_of(row), []).append(row)
            self._names, self._said = names, said
            self.version += 1
            if len(self._rows):
                self._last_instant = max(self._last_instant, pc.max(self._rows["decided"]).as_py())

    def said(self, key: SliceKey) -> list[Row]:
        """Return the decisions that count on a slice (schema DECISIONS), oldest first."""
        return self._said.get(key, [])

    def mine(self, key: SliceKey) -> Row | None:
        """Return this reviewer's decision that counts on a slice."""
        return next((row for row in self.said(key) if row["reviewer"] == self.reviewer), None)

    def table(self, fingerprint: str) -> pa.Table:
        """Return the decisions that count under one fingerprint (schema DECISIONS)."""
        return self._counting.filter(pc.field("fingerprint") == fingerprint)

    def counts(self, fingerprint: str) -> Counter[str]:
        """Return the number of decisions that count under one fingerprint, by kind."""
        return Counter(self.table(fingerprint)["decision"].to_pylist())

    @property
    def last(self) -> Undoable | None:
        """The newest decision of this session that was not undone."""
        return self._undoable[-1] if self._undoable else None

    def decide(self, key: SliceKey, kind: DecisionKind, note: str, threshold: float) -> None:
        """Add a decision; it lasts once this returns. Raises DecisionError."""
        with self._lock:
            before = self.mine(key)
            made = self._write(key, kind, note, threshold)
            self._undoable.append(Undoable(key, made, before))

    def undo(self) -> Undoable | None:
        """Take back this session's last decision: what the reviewer had said before counts again."""
        with self._lock:
            if not self._undoable:
                return None
            last = self._undoable[-1]
            said = last.before or {"decision": "withdrawn", "note": "", "threshold": last.made.threshold}
            self._write(last.key, DecisionKind(said["decision"]), said["note"], said["threshold"])
            return self._undoable.pop()

    def _write(self, key: SliceKey, kind: DecisionKind, note: str, threshold: float) -> Decision:
        made = Decision(
            key.object_id, key.slice_index, key.fingerprint, kind, self.reviewer, self._now(), threshold, note
        )
        append(self._output, [made])
        self.refresh()
        return made

    def _now(self) -> datetime:
        """Return a time later than any decision read: a clock set back must not bury a new decision."""
        self._last_instant = max(datetime.now(UTC), self._last_instant + timedelta(microseconds=1))
        return self._last_instant


def key_of(row: Row) -> SliceKey:
    """Return the key of a row of slices or decisions."""
    return SliceKey(row["object_id"], row["slice_index"], row["fingerprint"])
