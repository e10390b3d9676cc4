"""Which files of an output count, and which are damaged."""

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.ledger.looking import looks
from s2sw.schemas import layout
from s2sw.schemas.layout import MERGE_PREFIX, OBJECTS_FOLDER, SLICES_FOLDER, Part

log = logging.getLogger(__name__)

LISTINGS = 10
"""Tries to see an output in one moment while parts of it are merged."""


@dataclass
class Committed:
    """The files of both tables: whole and committed ones by name, and those that are not what runs write.

    orphans: parts of slices that nobody committed. A part of objects whose slices are damaged or gone is
    whole; its objects have no slices any more (``without_slices``). damaged: what is wrong with a file, by
    name. replaced: what a merged part holds, and a killed ``s2sw compact`` left; by name of the file that
    says so. columns: of each file that is not damaged.
    """

    slices: list[str]
    objects: list[str]
    orphans: list[str] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def without_slices(self) -> frozenset[str]:
        """The parts of objects that have no readable part of slices beside them."""
        there = frozenset(self.slices)
        return frozenset(n for n in self.objects if slices_of(n) not in there)

    @property
    def says_damaged(self) -> str:
        """One line of how many files are left out, and why the first is; "" if none is."""
        if not self.damaged:
            return ""
        name, problem = next(iter(self.damaged.items()))
        more = f", and {len(self.damaged) - 1} more like it" if len(self.damaged) > 1 else ""
        return f"{name} is damaged and left out ({problem}){more}; `s2sw verify` tells what is lost"


def slices_of(name: str) -> str:
    """Return the name of the part of slices that belongs to a part of objects."""
    return name.replace(OBJECTS_FOLDER, SLICES_FOLDER, 1)


def committed(output: OutputFolder) -> Committed:
    """Look at the parts of an output; a file that is no whole Parquet file of its table is damaged."""
    sizes = _sizes(output)
    objects = layout.parts(name for name in sizes if name.startswith(f"{OBJECTS_FOLDER}/"))
    slices = layout.parts(name for name in sizes if name.startswith(f"{SLICES_FOLDER}/"))
    try:
        found = looks(output, {name: sizes[name] for name in (*objects, *slices)})
        damaged = {name: look for name, look in found.items() if isinstance(look, str)}
        broken = frozenset(damaged)
        replaced = _replaced(output, sizes, frozenset(sizes) - broken)
    except FileNotFoundError:  # a merge ended just now
        return committed(output)
    out = broken.union(*replaced.values())
    counting, whole, orphans = layout.committed_and_orphans(
        (name for name in slices if name not in out), (name for name in objects if name not in out)
    )
    known = frozenset(objects)
    lost = [name for name in orphans if name.replace(SLICES_FOLDER, OBJECTS_FOLDER, 1) not in known]
    gone = frozenset[str]().union(*replaced.values())
    damaged = {name: problem for name, problem in damaged.items() if name not in gone}
    columns = {name: look for name, look in found.items() if isinstance(look, tuple)}
    return Committed(counting, whole, lost, damaged, replaced, columns)


def finish_merges(output: OutputFolder, check: Callable[[], None] = lambda: None) -> None:
    """Remove what merged parts replace, and the files that say so. For whoever holds the output alone.

    Merges that were killed before their part was committed leave nothing behind but an orphan. check: called
    before each step; raises if this process may write no more.
    """
    for said, names in committed(output).replaced.items():
        for name in names:
            check()
            output.delete(name)
        check()
        output.delete(said)


def committed_parts(output: OutputFolder) -> dict[str, list[Part]]:
    """Return the committed parts of each table with their columns, by name of its folder."""
    found = committed(output)
    return {
        table: [replace(layout.part_of(name), columns=found.columns[name]) for name in names]
        for table, names in ((SLICES_FOLDER, found.slices), (OBJECTS_FOLDER, found.objects))
    }


def _sizes(output: OutputFolder) -> dict[str, int]:
    """Return names and bytes of the files of both tables, as they were in one moment.

    Objects are listed first: slices that are committed meanwhile are then left out of both. While parts are
    merged, files appear and go; what was there before and after the slices were listed was there together.
    """
    objects = output.sizes(OBJECTS_FOLDER)
    for _ in range(LISTINGS):
        slices = output.sizes(SLICES_FOLDER)
        merging = any(n.startswith(MERGE_PREFIX) or layout.part_of(n).merged for n in (*objects, *slices))
        again = output.sizes(OBJECTS_FOLDER) if merging else objects
        if again == objects:
            break
        objects = again
    return objects | slices


def _replaced(output: OutputFolder, names: Iterable[str], whole: frozenset[str]) -> dict[str, list[str]]:
    """Return what merged parts replace that is still there. Raises FileNotFoundError if one just ended.

    A merged part counts once it is there whole; before that, what it is to replace does.
    """
    found = {}
    for said in names:
        if not said.startswith(MERGE_PREFIX):
            continue
        try:
            what = json.loads(output.read(said))
            _check_names(said, what["part"], what["replaces"])
            part, sources, with_slices = f"{OBJECTS_FOLDER}/{what['part']}", what["replaces"], what["slices"]
            sources = {
                name for one in sources for name in (f"{OBJECTS_FOLDER}/{one}", f"{SLICES_FOLDER}/{one}")
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("%s", f"{said} is damaged and left out")
            continue
        is_there = part in whole and (not with_slices or slices_of(part) in whole)
        # only names that were listed: the file may have been written by anybody
        found[said] = sorted(sources.intersection(names) - {part, slices_of(part)}) if is_there else []
    return found


def _check_names(said: str, part: str, replaced: list[str]) -> None:
    """Raise ValueError unless a merged part is named after what it replaces, and the file after the part."""
    if said != layout.merge_file(part) or part != layout.merged_name(layout.part_of(part).run, replaced):
        raise ValueError("the names do not belong together")
