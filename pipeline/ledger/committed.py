"""Which files of an output count, and which are damaged."""

from dataclasses import dataclass, field
from functools import cached_property

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.schemas import layout
from s2sw.schemas.layout import OBJECTS_FOLDER, SLICES_FOLDER, Part


@dataclass
class Committed:
    """The files of both tables: whole and committed ones by name, and those that are no whole Parquet files.

    orphans: parts of slices that nobody committed. A part of objects whose slices are damaged or gone is
    whole; its objects have no slices any more (``without_slices``).
    """

    slices: list[str]
    objects: list[str]
    orphans: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)

    @cached_property
    def without_slices(self) -> frozenset[str]:
        """The parts of objects that have no readable part of slices beside them."""
        there = frozenset(self.slices)
        return frozenset(n for n in self.objects if n.replace(OBJECTS_FOLDER, SLICES_FOLDER, 1) not in there)


def committed(output: OutputFolder) -> Committed:
    """Look at the parts of an output; a file that cannot be a whole Parquet file is damaged."""
    sizes = output.sizes(OBJECTS_FOLDER)  # first: what is committed meanwhile is left out of both
    objects = layout.parts(sizes)
    sizes |= output.sizes(SLICES_FOLDER)
    slices = layout.parts(name for name in sizes if name.startswith(f"{SLICES_FOLDER}/"))
    damaged = [name for name in (*objects, *slices) if not output.is_whole_parquet(name, sizes[name])]
    broken = frozenset(damaged)
    counting, whole, orphans = layout.committed_and_orphans(
        (name for name in slices if name not in broken), (name for name in objects if name not in broken)
    )
    known = frozenset(objects)
    lost = [name for name in orphans if name.replace(SLICES_FOLDER, OBJECTS_FOLDER, 1) not in known]
    return Committed(counting, whole, lost, damaged)


def committed_parts(output: OutputFolder) -> dict[str, list[Part]]:
    """Return the committed parts of each table, by name of its folder."""
    found = committed(output)
    return {
        SLICES_FOLDER: [layout.part_of(name) for name in found.slices],
        OBJECTS_FOLDER: [layout.part_of(name) for name in found.objects],
    }
