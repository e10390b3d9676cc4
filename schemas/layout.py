"""The files of an output, what their names mean, and which parts are committed.

``slices/`` and ``objects/`` hold parts of the same names, ``RUN-00000.parquet``, and
``RUN-p003w001n00000.parquet`` where a run has several writers. A part of slices is committed when the part of
objects of the same name exists. Parts that ``s2sw compact`` merged are named after their newest run,
``RUN-m0123456789.parquet``. Earlier versions used folders ``date=`` and ``site=``.
"""

import datetime
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from s2sw.schemas.forms import PART, is_run_id
from s2sw.schemas.whole_files import TEMPORARY

SLICES_FOLDER = "slices"
OBJECTS_FOLDER = "objects"
RUNS_FOLDER = "runs"
AUDIT_FOLDER = "audit"
DECISIONS_FOLDER = "decisions"
WORKLIST_FOLDER = "worklist"
CASES_FOLDER = "cases"
P_VALUES_FOLDER = "p_values"
DISTRIBUTIONS_FOLDER = "distributions"
MARKER = "_s2sw-output"
"""A file that says that its folder is an output: no listing of a source looks into it. Its name sorts before
those of all folders of an output, and readers of Parquet folders skip names that begin so."""
PROFILE_FILE = "profile.json"
GROUPS_FOLDER, BANK = "groups", ".safetensors"
"""What a profile's folder holds, which has the marker as well."""
SET_ASIDE_FOLDER = "set-aside"
"""Damaged files that ``s2sw verify --repair`` moved away; nothing reads it."""
FOLDERS = (
    SLICES_FOLDER, OBJECTS_FOLDER, RUNS_FOLDER, AUDIT_FOLDER, DECISIONS_FOLDER, WORKLIST_FOLDER, CASES_FOLDER,
    P_VALUES_FOLDER, DISTRIBUTIONS_FOLDER,
)  # fmt: skip
TABLE_FOLDERS = (SLICES_FOLDER, OBJECTS_FOLDER)
PARTITIONS = ("date", "site")
"""Columns of both tables; in outputs of earlier versions Hive folders, or nowhere."""
MERGE_PREFIX = f"{OBJECTS_FOLDER}/_merge-"
"""Of files that say which parts a merged part replaces; readers of Parquet folders skip such names."""
DEFERRED_FILE = f"{RUNS_FOLDER}/deferred.parquet"
LEASE_PREFIX = f"{RUNS_FOLDER}/lease-"
WRITER_LEASES = f"{RUNS_FOLDER}/lease."
"""Of the writers of partitions, beside that of their run."""

_PARQUET = ".parquet"
_RECORD = ".json"
_ENTRY = ".jsonl"
_SUFFIXES = frozenset({_PARQUET, _RECORD, _ENTRY, ".log"})
_NUMBER = re.compile(r"[0-9]{8,12}", re.ASCII)
_MERGED = re.compile(r"m[0-9a-f]{10}")


@dataclass(frozen=True)
class Part:
    """One Parquet file of a table.

    run: the id of the run that wrote it, of several (``merged``) the newest; date: when that started, UTC.
    site: of its Hive folder, in outputs of earlier versions. in_folders: whether it lies in such.
    columns: of the file, where its footer was read.
    """

    name: str
    run: str
    date: datetime.date | None = None
    site: str | None = None
    merged: bool = False
    in_folders: bool = False
    columns: tuple[str, ...] = ()


def is_ours(name: str) -> bool:
    """Tell whether a name below an output is one that s2sw gives; an archive may lie in the same folder."""
    path = PurePosixPath(name)
    if name == MARKER:
        return True
    ours = path.suffix in _SUFFIXES or path.name.startswith(("lease-", "lease.", TEMPORARY))
    profile = name == PROFILE_FILE or (path.parts[0] == GROUPS_FOLDER and path.suffix == BANK)
    return profile or (path.parts[0] in (*FOLDERS, SET_ASIDE_FOLDER) and ours)


def part_name(run_id: str, number: int, writer: str = "") -> str:
    """Return the name of a run's part below the folder of its table. writer: its mark, if there are many."""
    return f"{run_id}-{writer}{number:05}{_PARQUET}"


def partition_mark(partition: int) -> str:
    """Return what the names of a partition's parts begin with, behind the run, and no other's."""
    return f"{_partition(partition)}w"


def writer_mark(partition: int, term: int) -> str:
    """Return the mark of a partition's writer. term: 1 for the first, and so on for those that take over."""
    return f"{partition_mark(partition)}{term:03}n"


def writer_leases(partition: int) -> str:
    """Return what the leases of a partition's writers begin with."""
    return f"{WRITER_LEASES}{_partition(partition)}-"


def merged_name(run_id: str, replaced: Iterable[str]) -> str:
    """Return the name of the part that replaces parts, run_id: of the newest of them.

    The same parts give the same name, so that a merge that was killed and made again is the same.
    """
    digest = hashlib.sha256("\0".join(sorted(replaced)).encode("utf-8", "surrogateescape")).hexdigest()
    return f"{run_id}-m{digest[:10]}{_PARQUET}"


def merge_file(name: str) -> str:
    """Return the name of the file that says what a merged part replaces; name: below the table's folder."""
    return f"{MERGE_PREFIX}{name.removesuffix(_PARQUET)}{_RECORD}"


def day_of(run_id: str) -> datetime.date | None:
    """Return the day on which a run started, UTC; None for what is no id of a run."""
    try:
        return (
            datetime.date(int(run_id[:4]), int(run_id[4:6]), int(run_id[6:8])) if is_run_id(run_id) else None
        )
    except ValueError:  # digits that are no day
        return None


def part_of(name: str) -> Part:
    """Return what the name of a part says."""
    path = PurePosixPath(name)
    keys = dict(folder.split("=", 1) for folder in path.parts[1:-1] if "=" in folder)
    run, _, tail = path.stem.rpartition("-")
    merged = _MERGED.fullmatch(tail) is not None
    return Part(name, run, day_of(run), keys.get("site"), merged, len(path.parts) > 2)


def parts(names: Iterable[str]) -> list[str]:
    """Return those names that are parts."""
    return [name for name in names if PART.fullmatch(name)]


def committed_and_orphans(
    slices: Iterable[str], objects: Iterable[str]
) -> tuple[list[str], list[str], list[str]]:
    """Return the committed parts of slices, the parts of objects, and the parts of slices without a commit.

    List the objects before the slices: readers ignore orphans, so a part that is committed in between is
    only not yet seen.
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


def worklist_name(folder: str, run_id: str) -> str:
    """Return the name of what was made of a run in WORKLIST_FOLDER or one like it. Raises ValueError."""
    return f"{folder}/{PurePosixPath(record_name(run_id)).stem}{_PARQUET}"


def distribution_name(run_id: str, unit: str) -> str:
    """Return the name of the distribution of a run's scores by unit. Raises ValueError."""
    stem = PurePosixPath(record_name(run_id)).stem
    return f"{DISTRIBUTIONS_FOLDER}/{stem}-{unit}{_PARQUET}"


def run_ids(names: Iterable[str]) -> list[str]:
    """Return the ids of the runs whose records are among these names, oldest first."""
    found = (PurePosixPath(name) for name in names)
    return sorted(path.stem for path in found if path.suffix == _RECORD and is_run_id(path.stem))


def entry_name(number: int) -> str:
    """Return the name of an entry of the audit log."""
    return f"{AUDIT_FOLDER}/{number:08}{_ENTRY}"


def entry_number(name: str) -> int:
    """Return the number of an entry of the audit log, -1 for a name that ``entry_name`` does not give."""
    stem = PurePosixPath(name).stem
    number = int(stem) if _NUMBER.fullmatch(stem) else -1
    return number if number >= 0 and name == entry_name(number) else -1


def _partition(number: int) -> str:
    return f"p{number:03}"
