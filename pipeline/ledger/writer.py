"""The one writer: whole objects into part files, slices first, objects last.

The objects part is the commit point. A slices part that no objects part names belongs to a writer that was
killed in between; it is removed at the next start, and its objects are screened again.
"""

import time
from collections.abc import Callable, Sequence

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.ledger.committed import committed, finish_merges
from s2sw.pipeline.ledger.parquet import parquet_bytes
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.schemas import layout
from s2sw.schemas.config import PartSettings
from s2sw.schemas.layout import OBJECTS_FOLDER, SLICES_FOLDER
from s2sw.schemas.tables import OBJECTS, SLICES, Row


class Writer:
    """Collects rows and commits them as parts ``slices/RUN-00000.parquet`` and ``objects/RUN-00000.parquet``.

    constants: columns that are the same in every row of the run (bundle, fingerprint, run_id, threshold);
    ``date`` and ``site`` are added.
    keep_uri: open mode; private mode writes no uri. before_commit raises if this run may write no more.
    uid_ids: makes the columns ``study_id`` ... of digests of UIDs; by default there are none. mark: in the
    names of its parts, where a run has several writers. with_part: told the name of a part and the ids of its
    objects before these are committed; what it writes is there if they are.
    """

    def __init__(
        self,
        output: OutputFolder,
        settings: PartSettings,
        constants: Row,
        keep_uri: bool,
        before_commit: Callable[[], None] = lambda: None,
        uid_ids: Callable[[Sequence[bytes]], dict[str, str]] = lambda _: {},
        mark: str = "",
        with_part: Callable[[str, Sequence[str]], None] = lambda *_: None,
    ) -> None:
        self.parts = 0
        self._output = output
        self._settings = settings
        self._constants = {
            **constants,
            "date": layout.day_of(constants["run_id"]),
            "site": settings.site or None,
        }
        self._uid_ids = uid_ids
        self._mark = mark
        self._with_part = with_part
        self._keep_uri = keep_uri
        self._before_commit = before_commit
        self._slices: list[Row] = []
        self._objects: list[Row] = []
        self._oldest = 0.0

    @property
    def uncommitted(self) -> tuple[int, float]:
        """How many objects are not committed yet, and since when the oldest of them waits, in seconds."""
        return len(self._objects), time.monotonic() - self._oldest if self._objects else 0.0

    def add(self, finished: FinishedObject, object_id: str, stored: StoredObject) -> None:
        """Take one object; commits a part when it is large or old enough."""
        count = len(finished.slices)
        if len(self._slices) + count > self._settings.rows:
            self.commit()
        if not self._objects:
            self._oldest = time.monotonic()
        for row in finished.slices:
            self._slices.append({**row, **self._constants, "object_id": object_id, "n_slices": count})
        self._objects.append(self._object_row(finished, object_id, stored))
        self.commit_if_due()

    def commit_if_due(self) -> None:
        """Commit if one of the tables has its rows or the oldest of its objects its age."""
        if not self._objects:
            return
        rows = max(len(self._slices), len(self._objects))
        if rows >= self._settings.rows or time.monotonic() - self._oldest >= self._settings.seconds:
            self.commit()

    def commit(self) -> None:
        """Write what is collected as one part; nothing to do without objects."""
        if not self._objects:
            return
        self._before_commit()
        name = layout.part_name(self._constants["run_id"], self.parts, self._mark)
        if self._slices:
            self._output.write(f"{SLICES_FOLDER}/{name}", parquet_bytes(self._slices, SLICES))
        for row in self._objects:
            row["part"] = name
        self._with_part(name, [row["object_id"] for row in self._objects])
        self._before_commit()  # the slices may have taken a while
        self._output.write(f"{OBJECTS_FOLDER}/{name}", parquet_bytes(self._objects, OBJECTS))
        self.parts += 1
        self._slices, self._objects = [], []

    def _object_row(self, finished: FinishedObject, object_id: str, stored: StoredObject) -> Row:
        best = max(finished.slices, key=lambda row: row["image_score"], default=None)
        having = (row for row in finished.slices if row.get("rank_score") is not None)
        ranked = max(having, key=lambda row: row["rank_score"], default=None)
        return {
            "object_id": object_id,
            "status": finished.status,
            "reason": finished.reason,
            "n_slices": len(finished.slices),
            "max_score": best["image_score"] if best else None,
            "max_slice": best["slice_index"] if best else None,
            "max_rank_score": ranked["rank_score"] if ranked else None,
            "max_rank_slice": ranked["slice_index"] if ranked else None,
            "bytes": stored.size,
            "decoder": finished.decoder,
            "attempts": finished.attempts,
            "fingerprint": self._constants["fingerprint"],
            "run_id": self._constants["run_id"],
            "date": self._constants["date"],
            "site": self._constants["site"],
            "uri": stored.address if self._keep_uri else None,
            "case_id": finished.case or None,
            **self._uid_ids(finished.uids),
        }


def sweep_orphans(output: OutputFolder) -> list[str]:
    """Remove slices parts without an objects part, temporary files, and what merged parts replace.

    Returns the names of the parts of slices that nobody committed.
    """
    finish_merges(output)
    orphans = committed(output).orphans
    for name in orphans:
        output.delete(name)
    for folder in layout.FOLDERS:
        output.clear_temporary(folder)
    return orphans
