"""The decode stage: groups of listed objects in, rows with pixels at the detector's size out."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from s2sw.connectors.archives.members import is_container
from s2sw.connectors.decode import decode
from s2sw.connectors.geometry import columns_of
from s2sw.connectors.guard import reason_for
from s2sw.connectors.reading.archives import is_archive, refuse_archive
from s2sw.connectors.reading.fetching import Fetcher, Get
from s2sw.connectors.slices import NO_FACTS, Slice
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.imaging.appearance import brightness, sharpness
from s2sw.pipeline.imaging.tiles import shrunk, tile_boxes
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.privacy.environment import enter_worker
from s2sw.pipeline.privacy.redaction import withheld
from s2sw.pipeline.profile.grouping import Grouping
from s2sw.pipeline.stages.classes import ClassRule
from s2sw.pipeline.stages.time_limit import ended_after
from s2sw.pipeline.stages.wire import END, decoded_table
from s2sw.schemas.codes import BODY_PARTS, MODALITIES, allowed
from s2sw.schemas.config import TileSettings
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError, Status, status_of
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import Row

BLOCK_BYTES = 16 << 20  # pixels handed to Ray at a time; also what a task holds of a volume


@dataclass(frozen=True)
class DecodeStage:
    """A function for Ray Data: the numbers of groups in a table to tables of schema DECODED.

    It lets no exception out: every object of its groups ends with an END row. deadline: seconds since the
    epoch after which objects are deferred instead of read. private: nothing but reasons gets out. classes:
    gives each object the class name that it is judged by; None where the detector asks for none. grouping:
    names each object's case, and if ranked, for a profile, each slice's groups.
    """

    todo: Todo
    side: int
    tiles: TileSettings
    decode: DecodeSettings
    storage: StorageSettings
    deadline: float | None = None
    private: bool = False
    classes: ClassRule | None = None
    grouping: Grouping | None = None
    ranked: bool = False

    def __call__(self, groups: pa.Table) -> Iterator[pa.Table]:
        """Decode every object of the groups."""
        enter_worker(self.storage, self.private)
        with withheld(self.private):
            yield from self._tables(groups)

    def over(self, todo: Todo) -> Self:
        """Return the same stage over another to-do list."""
        return replace(self, todo=todo)

    def _tables(self, groups: pa.Table) -> Iterator[pa.Table]:
        pending: list[Row] = []
        size = 0
        for group in groups.column("id").to_pylist():
            for row in self._rows(group):
                pending.append(row)
                size += row["pixels"].size if "pixels" in row else 0
                if size >= BLOCK_BYTES:
                    yield decoded_table(pending)
                    pending, size = [], 0
        if pending:
            yield decoded_table(pending)

    def _rows(self, group: int) -> Iterator[Row]:
        objects = self.todo.objects_of(group)
        owners = self.todo.ids_of(group) if self.ranked else [None] * len(objects)
        fetcher = Fetcher(self.storage, self.decode, self._too_late)
        payloads = fetcher.payloads([stored for _, stored in objects])
        for (number, stored), owner, get in zip(objects, owners, payloads, strict=True):
            for row in self._object_rows(stored, get):
                yield {"object": number, "owner": owner, **row}

    def _too_late(self) -> bool:
        return self.deadline is not None and time.time() >= self.deadline

    def _object_rows(self, stored: StoredObject, get: Get) -> Iterator[Row]:
        """Yield the rows of one object: its slices, then its END row."""
        started = time.monotonic()
        count, decoder, reason = 0, "", None
        facts = NO_FACTS
        case: str | None = None
        try:
            class_name = self._class_of(stored)
            payload = get()
            if is_archive(stored.uri) and is_container(payload.data):
                raise refuse_archive(payload.data, self.decode)
            target = self.side if self.decode.scaled and not self.tiles.size else None
            decoder, slices = decode(payload.data, self.decode, target=target, companion=payload.companion)
            for row in self._kept(self._slice_rows(slices, stored), stored):
                count, facts, case = count + 1, row.pop("facts"), row.get("case")
                yield {**row, "class_name": class_name}
            if count == 0:
                reason = Reason.MALFORMED
        except GeneratorExit:
            raise
        # everything: decoders in C and Rust raise what is no Exception, and an error that reaches Ray would
        # take the whole block with it and carry its text into Ray's logs
        except BaseException as error:  # noqa: BLE001
            reason = reason_for(error)
        yield {
            "slice_index": END,
            "status": status_of(reason) if reason else Status.SCREENED,
            "reason": reason,
            "n_slices": count if reason is None else 0,
            "decoder": decoder,
            "attempts": 1,
            "decode_seconds": time.monotonic() - started,
            "uids": facts.uids,
            "case": case,
        }

    def _class_of(self, stored: StoredObject) -> str | None:
        if self.classes is None:
            return None
        name = self.classes.class_of(stored.address)
        if name is None:
            raise ScreeningError(Reason.NO_CLASS)
        return name

    def _guarded(self, slices: Iterator[Slice]) -> Iterator[Slice]:
        """Pass the slices on; one that does not come in time ends the process; it is then tried alone."""
        while True:
            with ended_after(self.decode.limits.seconds):
                picture = next(slices, None)
            if picture is None:
                return
            yield picture

    def _kept(self, rows: Iterator[Row], stored: StoredObject) -> Iterator[Row]:
        """Return those rows of an object's slices that go on."""
        return rows

    def _slice_rows(self, slices: Iterator[Slice], stored: StoredObject) -> Iterator[Row]:
        for index, picture in enumerate(self._guarded(slices)):
            row = self._slice_row(index, picture)
            if self.grouping:
                row["case"] = self.grouping.case(stored.address, picture)
                if self.ranked:
                    row["groups"] = self.grouping.groups(stored.address, picture)
            yield row

    def _slice_row(self, index: int, picture: Slice) -> Row:
        rows, cols = picture.full_size or picture.pixels.shape[:2]
        boxes = tile_boxes(rows, cols, self.tiles)
        views = list(shrunk(picture.pixels, self.side, boxes))
        return {
            "slice_index": index,
            "plane": picture.plane,
            "rows": rows,
            "cols": cols,
            "tiles": [edge for box in boxes for edge in box],
            "modality": allowed(picture.modality, MODALITIES),
            "body_part": allowed(picture.body_part, BODY_PARTS),
            "applied": " ".join(picture.applied),
            "brightness": brightness(views[0]),
            "sharpness": sharpness(views[0]),
            **columns_of(picture.geometry),
            "facts": picture.facts,
            "pixels": np.stack(views),
        }
