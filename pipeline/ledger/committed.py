"""Which files of an output count."""

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.schemas import layout
from s2sw.schemas.layout import OBJECTS_FOLDER, SLICES_FOLDER, Part


def committed_parts(output: OutputFolder) -> dict[str, list[Part]]:
    """Return the committed parts of each table, by name of its folder."""
    objects = output.names(OBJECTS_FOLDER)  # first: what is committed meanwhile is left out of both
    slices, objects, _ = layout.committed_and_orphans(output.names(SLICES_FOLDER), objects)
    return {
        SLICES_FOLDER: [layout.part_of(name) for name in slices],
        OBJECTS_FOLDER: [layout.part_of(name) for name in objects],
    }
