"""What a profile is built from, kept object by object, so that a building that was killed goes on."""

import contextlib
import fcntl
import functools
import io
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.model.rarity.features import Features
from s2sw.pipeline.listing.todo import TodoReader
from s2sw.pipeline.profile.drafting import Sampled
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.pipeline.stages.sampling import unpack
from s2sw.pipeline.stages.wire import SAMPLED, table_of
from s2sw.schemas.errors import UserError
from s2sw.schemas.outcomes import TRANSIENT_REASONS, Status
from s2sw.schemas.tables import Row

KEPT = pa.schema(
    [
        SAMPLED.field(name)
        for name in (
            "owner", "picture", "view", "tile_count", "case", "groups", "image_score", "tokens", "features",
            "seed_size", "seed_contrast", "seed_pixels", "seed_mm2",
        )
    ]
)  # fmt: skip
"""What is kept of a slice; an object that could not be read has a file without rows."""
PREFIX = "building-"
"""Of folders with what was sampled so far."""
LOCK = "profile.lock"
_SUFFIX = ".arrow"


class Samples:
    """Takes what comes of sampled objects (a ``Sink``): one file an object, there whole or not at all.

    What lies in the folder already was sampled by an earlier try.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.deferred = False
        self._say = say
        self._output = LocalOutput(folder)
        self._output.clear_temporary("")

    def known(self) -> set[str]:
        """Return the ids of the objects that need not be sampled any more."""
        return {path.stem for path in self.folder.glob(f"*{_SUFFIX}")}

    def finish(self, finished: FinishedObject, reader: TodoReader) -> None:
        """Keep the slices of an object; one that could not be screened gives none."""
        self.deferred |= finished.status is Status.DEFERRED
        if finished.status is Status.DEFERRED or finished.reason in TRANSIENT_REASONS:
            return  # the next try asks again
        owner, _ = reader.row(finished.number)
        self._output.write(f"{owner}{_SUFFIX}", _bytes_of(table_of(list(finished.slices), KEPT)))

    def of(self, owners: Iterable[str]) -> list[Sampled]:
        """Return what there is of these objects, by their ids, slices and views."""
        found = []
        for owner in set(owners) & self.known():
            path = self.folder / f"{owner}{_SUFFIX}"
            rows = _read(path).drop_columns(["features"]).to_pylist()
            found += [_sampled(row, functools.partial(_features, path, n)) for n, row in enumerate(rows)]
        return sorted(found, key=lambda one: (one.owner, one.slice_index, one.view))

    def tick(self) -> None:
        """Every object is kept when it comes."""

    def say(self, text: str) -> None:
        """Tell what is being done."""
        self._say(text)


@contextlib.contextmanager
def kept_samples(state: Path, digest: str) -> Iterator[Path]:
    """Give the folder of what was sampled with some settings; that of other settings is removed.

    state: a private folder. Raises UserError where another process of this machine builds there.
    """
    with (state / LOCK).open("ab") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with the process, however that ends
        except BlockingIOError:
            raise UserError("profile: another process is building it; wait until that has ended") from None
        kept = state / f"{PREFIX}{digest}"
        for path in state.glob(f"{PREFIX}*"):
            if path != kept:
                shutil.rmtree(path, ignore_errors=True)
        kept.mkdir(mode=0o700, exist_ok=True)
        yield kept


def _sampled(row: Row, features: Callable[[], Features]) -> Sampled:
    return Sampled(
        row["owner"],
        row["picture"],
        row["case"],
        tuple(row["groups"]),
        row["image_score"],
        np.frombuffer(row["tokens"], np.float32),
        features,
        row["seed_size"] or 0.0,
        row["seed_contrast"] or 0.0,
        row["seed_pixels"] or 0.0,
        row["seed_mm2"],
        row["view"],
        row["tile_count"],
    )


def _bytes_of(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with ipc.new_file(sink, KEPT) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _read(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return ipc.open_file(source).read_all()


def _features(path: Path, row: int) -> Features:
    return unpack(_read(path).column("features")[row].as_py())
