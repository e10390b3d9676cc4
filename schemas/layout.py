"""Where things lie in an output, what their names say, and which of them count.

``slices/`` and ``objects/`` hold parts of the same names, ``RUN-00000.parquet``, alone or below Hive folders.
A part of slices counts once the part of objects of its name is there: that is the commit.
"""

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from s2sw.schemas.forms import PART, is_run_id

SLICES_FOLDER = "slices"
OBJECTS_FOLDER = "objects"
RUNS_FOLDER = "runs"
AUDIT_FOLDER = "audit"
DECISIONS_FOLDER = "decisions"
MARKER = "_s2sw-output"
"""A file that says that its folder is an output: no listing of a source looks into it. Its name sorts before
those of all folders of an output, and readers of Parquet folders skip names that begin so."""
PROFILE_FILE = "profile.json"
GROUPS_FOLDER, BANK = "groups", ".safetensors"
"""What a profile's folder holds, which has the marker as well."""
SET_ASIDE_FOLDER = "set-aside"
"""Damaged files that ``s2sw verify --repair`` moved away; nothing reads it."""
FOLDERS = (SLICES_FOLDER, OBJECTS_FOLDER, RUNS_FOLDER, AUDIT_FOLDER, DECISIONS_FOLDER)
TABLE_FOLDERS = (SLICES_FOLDER, OBJECTS_FOLDER)
PARTITIONS = ("date", "site")
"""Hive folders that a run may put its parts into (``s2sw.schemas.config.PartSettings``)."""
DEFERRED_FILE = f"{RUNS_FOLDER}/deferred.parquet"
LEASE_PREFIX = f"{RUNS_FOLDER}/lease-"

_PARQUET = ".parquet"
_RECORD = ".json"
_ENTRY = ".jsonl"
_SUFFIXES = frozenset({_PARQUET, _RECORD, _ENTRY, ".log"})
_NUMBER = re.compile(r"[0-9]{8,20}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Part:
    """One Parquet file of a table. run: the id of the run that wrote it; date, site: of its Hive folders."""

    name: str
    run: str
    date: datetime.date | None = None
    site: str | None = None


def is_ours(name: str) -> bool:
    """Tell whether a name below an output is one that s2sw gives; an archive may lie in the same folder."""
    path = PurePosixPath(name)
    if name == MARKER:
        return True
    ours = path.suffix in _SUFFIXES or path.name.startswith(("lease-", ".tmp-"))
    profile = name == PROFILE_FILE or (path.parts[0] == GROUPS_FOLDER and path.suffix == BANK)
    return profile or (path.parts[0] in (*FOLDERS, SET_ASIDE_FOLDER) and ours)


def part_name(run_id: str, number: int, site: str = "", by_date: bool = False) -> str:
    """Return the name of a run's part below the folder of its table."""
    folders = f"site={site}/" if site else ""
    if by_date:
        folders += f"date={run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}/"
    return f"{folders}{run_id}-{number:05}{_PARQUET}"


def part_of(name: str) -> Part:
    """Return what the name of a part says."""
    path = PurePosixPath(name)
    keys = dict(folder.split("=", 1) for folder in path.parts[1:-1] if "=" in folder)
    day = keys.get("date", "")
    return Part(
        name,
        path.name.rpartition("-")[0],
        datetime.date.fromisoformat(day) if _DATE.fullmatch(day) else None,
        keys.get("site"),
    )


def parts(names: Iterable[str]) -> list[str]:
    """Return those names that are parts."""
    return [name for name in names if PART.fullmatch(name)]


def committed_and_orphans(
    slices: Iterable[str], objects: Iterable[str]
) -> tuple[list[str], list[str], list[str]]:
    """Return the committed parts of slices, those of objects, and parts of slices that nobody committed.

    List the objects first: what is committed meanwhile is then an orphan for nobody who only reads.
    """
    objects = parts(objects)
    committed = {name.removeprefix(f"{OBJECTS_FOLDER}/") for name in objects}
    found: tuple[list[str], list[str]] = ([], [])
    for name in parts(slices):
        found[name.removeprefix(f"{SLICES_FOLDER}/") not in committed].append(name)
    return found[0], objects, found[1]


def record_name(run_id: str) -> str:
    """Return the name of a run's record. Raises ValueError for what is no id of a run."""
    if not is_run_id(run_id):
        raise ValueError(f"{str(run_id)[:40]!r} is no id of a run")
    return f"{RUNS_FOLDER}/{run_id}{_RECORD}"


def log_name(run_id: str) -> str:
    """Return the name of a run's log."""
    return f"{RUNS_FOLDER}/{run_id}.log"


def run_ids(names: Iterable[str]) -> list[str]:
    """Return the ids of the runs whose records are among these names, oldest first."""
    found = (PurePosixPath(name) for name in names)
    return sorted(path.stem for path in found if path.suffix == _RECORD and is_run_id(path.stem))


def entry_name(number: int) -> str:
    """Return the name of an entry of the audit log."""
    return f"{AUDIT_FOLDER}/{number:08}{_ENTRY}"


def entry_number(name: str) -> int:
    """Return the number of an entry of the audit log, -1 for a name that is none."""
    path = PurePosixPath(name)
    return int(path.stem) if _NUMBER.fullmatch(path.stem) and path.suffix == _ENTRY else -1
