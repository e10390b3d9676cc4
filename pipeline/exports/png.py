"""PNG overlays: the slice beside itself with the map in colours and the mask outlined."""

from collections.abc import Iterator

from s2sw.pipeline.exports.cases import Case
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.imaging.encoding import png_bytes
from s2sw.pipeline.imaging.overlays import overlay


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write one picture a finding, named by rank, object and slice."""
    written = 0
    for case in cases:
        for finding, pixels in reader.pictures(case):
            row = finding.row
            caption = (
                f"{options.name_of(case)}, slice {row['slice_index'] + 1} of {row['n_slices']}: "
                f"score {row['image_score']:.4f}"
            )
            picture = overlay(pixels, *finding.drawn(), caption)
            folder.write(f"{finding.stem}.png", png_bytes(picture))
            written += 1
    return written
