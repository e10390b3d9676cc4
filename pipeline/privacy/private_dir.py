"""What stays with whoever runs the screening: the id key and the crosswalk. Never part of the results."""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.privacy.ids import check_private_folder, existing_key, load_or_create_key
from s2sw.pipeline.privacy.output_scopes import OutputScopes
from s2sw.schemas.forms import is_run_id

_SECOND = "%Y%m%dT%H%M%S"


def new_run_id(earlier: Iterable[str] = ()) -> str:
    """Return a name for a run that sorts by time and is never used twice.

    earlier: ids of runs that it has to sort behind, although the clocks of their machines may be ahead of
    this one's, by a day at most.
    """
    now = datetime.now(UTC)
    soon = f"{now + timedelta(days=1):{_SECOND}}"
    newest = max((one for one in earlier if one < soon), default="")
    # of the clock, whatever the second: runs that are moved behind one, and left nothing, get different ids
    within = f"{now.microsecond:05x}{secrets.randbelow(16):x}"
    if newest >= f"{now:{_SECOND}}":
        now = datetime.strptime(newest[:15], _SECOND).replace(tzinfo=UTC) + timedelta(seconds=1)
    return f"{now:{_SECOND}}-{within}"


@dataclass(frozen=True)
class RunState:
    """The private files of one output: DIR/<digest of the output's address>/...

    manifest.parquet is the frozen listing of the latest run; crosswalk/RUN/ holds the rows that a run
    took up, so that all of them together name every object with results.
    """

    folder: Path
    run_id: str

    @property
    def manifest(self) -> Path:
        """The frozen listing (schema MANIFEST)."""
        return self.folder / "manifest.parquet"

    @property
    def work(self) -> Path:
        """Scratch files of this run, removed at its end."""
        return self.folder / f"work-{self.run_id}"

    def crosswalk(self, number: int) -> Path:
        """The folder of one pass's to-do list: the first names all, later ones are in it already."""
        return self.folder / "crosswalk" / self.run_id if number == 0 else self.work / f"pass-{number}"

    def keep(self) -> None:
        """Put the crosswalk, which is written, where it outlives this machine."""

    def clear_abandoned(self) -> None:
        """Remove the scratch files of killed runs. Only for the one run that holds the output."""
        for path in self.folder.glob("work-*"):
            if path != self.work:
                shutil.rmtree(path, ignore_errors=True)

    def clear(self) -> None:
        """Remove the scratch files of this run."""
        shutil.rmtree(self.work, ignore_errors=True)


@dataclass(frozen=True)
class Inside:
    """The private folder: the id key, and for each output its listing and the crosswalks of its runs."""

    folder: Path

    @classmethod
    def of(cls, private_dir: str | None) -> "Inside":
        """Return the configured folder, or the default one, ``~/.s2sw``. It may not exist yet."""
        return cls(Path(private_dir).expanduser() if private_dir else Path.home() / ".s2sw")

    @property
    def address(self) -> str:
        """Where all of it lies that outlives a run."""
        return str(self.folder)

    def check_writable(self) -> None:
        """Raise ScreeningError if nothing could be written here."""
        LocalOutput(self.folder).check_writable()

    def overlaps(self, output: str) -> bool:
        """Tell whether whoever copies one copies the other: results must part from their crosswalk."""
        if is_s3(output):
            return False
        private, results = self.folder.resolve(), Path(output).resolve()
        return private.is_relative_to(results) or results.is_relative_to(private)

    def scopes(self) -> OutputScopes:
        """Return the scopes of outputs that have a key of their own."""
        return OutputScopes(self.folder)

    def key(self) -> bytes | None:
        """Return the id key if there is one. Raises KeyFileError."""
        return existing_key(self.folder)

    def make_key(self) -> bytes:
        """Return the id key, made on first use. Raises KeyFileError."""
        return load_or_create_key(self.folder)

    def open_state(self, output: str, run_id: str) -> RunState:
        """Make the folder (owner only) for runs into this output. Raises KeyFileError."""
        address = output.rstrip("/") if is_s3(output) else str(Path(output).absolute())
        check_private_folder(self.folder)
        folder = self.folder / hashlib.sha256(os.fsencode(address)).hexdigest()[:16]
        state = RunState(folder, run_id)
        for path in (self.folder, folder, state.work):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return state

    def crosswalk_files(self, run_id: str) -> list[Path]:
        """Return the files (schema MANIFEST) that name the objects that a run took up.

        Ids of runs are never used twice, so it does not matter where the output lies by now. What is no id of
        a run has none: it would become part of a pattern of paths.
        """
        if not is_run_id(run_id):
            return []
        check_private_folder(self.folder)
        return sorted(self.folder.glob(f"*/crosswalk/{run_id}/*.parquet"))
