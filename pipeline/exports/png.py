"""PNG overlays: the slice beside itself with the map in colours and the mask outlined.

Its file says in a text "Description" what it shows.
"""

from collections.abc import Iterator
from functools import partial

from s2sw.connectors.slices import Slice
from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.imaging.encoding import png_bytes
from s2sw.pipeline.imaging.overlays import overlay
from s2sw.schemas.tables import rank_of


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write one picture a finding, named by rank, object and slice."""
    written = 0
    for case in cases:
        name = options.name_of(case)
        for stem, data in reader.made(case, partial(_file, name=name)):
            folder.write(f"{stem}.png", data)
            written += 1
    return written


def _file(finding: Finding, picture: Slice, name: str) -> tuple[str, bytes]:
    row = finding.row
    place = f"slice {row['slice_index'] + 1} of {row['n_slices']}"
    text = f"{name}, {place}: score {rank_of(row):.4f}"
    drawn = overlay(picture.pixels, *finding.drawn(), picture.geometry.aspect)
    return finding.stem, png_bytes(drawn, text)
