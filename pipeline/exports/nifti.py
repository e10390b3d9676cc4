"""NIfTI volumes of maps and masks that lie where their sources lie: NIfTI files, or series of DICOM."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.geometry import Geometry, plane_from
from s2sw.connectors.nifti.volumes import Affine, Plane, filled_like, nifti_bytes, stacked
from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import Reader

DIGITS = 3  # of directions and spacings that planes of one stack share


@dataclass
class _Stack:
    """Findings of a DICOM series, or object of several frames, and the plane of each."""

    findings: list[Finding] = field(default_factory=list)
    planes: list[Geometry] = field(default_factory=list)


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write a map (float32, 0..1) and a mask (uint8, 0 or 1) for each volume, named by its best rank.

    A volume is a NIfTI file, whose order of samples and geometry are kept, or the parallel slices of a DICOM
    series or object, as (column, row, slice). Slices that are not exported are 0 in both. Objects without a
    place in the patient, and stacks of unequal steps, are counted as unsupported.
    """
    stacks: dict[tuple[object, ...], _Stack] = {}
    written = 0
    for case in cases:
        if case.decoder == "dicom":
            for finding, plane in _planes(case, reader):
                stack = stacks.setdefault(_stack_key(finding, plane), _Stack())
                stack.findings.append(finding)
                stack.planes.append(plane)
        else:
            written += _over_file(case, reader, folder)
    for stack in stacks.values():
        written += _over_series(stack, reader, folder)
    return written


def _planes(case: Case, reader: Reader) -> Iterator[tuple[Finding, Geometry]]:
    """Yield the findings of a DICOM object and the plane of each, from as little of the source as will do.

    Results say it; in those of earlier versions the header of a single picture does, and else its pixels are
    decoded on the way.
    """
    planes = [plane_from(finding.row) for finding in case.findings]
    if all(plane.height is not None for plane in planes):
        yield from zip(case.findings, planes, strict=True)
    elif all(finding.row["n_slices"] == 1 for finding in case.findings):
        with reader.counting(case.findings):
            plane = reader.first_plane(case)
            yield from ((finding, plane) for finding in case.findings)
    else:
        yield from ((finding, picture.geometry) for finding, picture in reader.slices(case))


def _stack_key(finding: Finding, plane: Geometry) -> tuple[object, ...]:
    """Return what slices share that lie in one volume; those of no series are of their object's."""
    row = finding.row
    study_and_series = row.get("study_id"), row.get("series_id")
    whose = study_and_series if all(study_and_series) else (row["object_id"],)
    directions = [*(plane.along_row or ()), *(plane.along_col or ()), *(plane.spacing or ())]
    rounded = tuple(round(value, DIGITS) for value in directions)
    return (*whose, row["plane"], row["rows"], row["cols"], rounded)


def _over_file(case: Case, reader: Reader, folder: Folder) -> int:
    header = reader.nifti(case)
    if header is None:
        return 0
    with reader.counting(case.findings):
        drawn = {finding.row["slice_index"]: finding.drawn() for finding in case.findings}
        heats = filled_like(header, {index: heat for index, (heat, _) in drawn.items()})
        masks = filled_like(header, {index: mask.astype(np.uint8) for index, (_, mask) in drawn.items()})
        return _kept(case.findings, heats, masks, np.array(header.affine), header.placed, folder)
    return 0


def _over_series(stack: _Stack, reader: Reader, folder: Folder) -> int:
    with reader.counting(stack.findings):
        places, affine = stacked(stack.planes)
        rows, cols = stack.findings[0].row["rows"], stack.findings[0].row["cols"]
        heats: NDArray[np.float32] = np.zeros((cols, rows, max(places) + 1), np.float32)
        masks: NDArray[np.uint8] = np.zeros(heats.shape, np.uint8)
        for finding, place in zip(stack.findings, places, strict=True):
            heat, mask = finding.drawn()
            heats[..., place], masks[..., place] = heat.T, mask.T
        return _kept(stack.findings, heats, masks, affine, True, folder)
    return 0


def _kept(
    findings: list[Finding], heats: Plane, masks: Plane, affine: Affine, placed: bool, folder: Folder
) -> int:
    """Write the two volumes of findings, and return how many these are."""
    stem = min(findings, key=lambda one: one.rank).stem
    folder.write(f"{stem}-map.nii.gz", nifti_bytes(heats, affine, placed))
    folder.write(f"{stem}-mask.nii.gz", nifti_bytes(masks, affine, placed))
    return len(findings)
