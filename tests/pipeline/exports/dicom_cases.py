"""DICOM objects and the findings in them, to be exported."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO

import highdicom as hd
import numpy as np
import pydicom
from pydicom import Dataset
from typing_extensions import override

from s2sw.pipeline.exports.cases import Case, Finding, Heat, Mask
from s2sw.pipeline.exports.options import Options
from tests.support.archives import dicom_file


def read_segmentation(data: bytes) -> hd.seg.Segmentation:
    return hd.seg.segread(BytesIO(data))


OPTIONS = Options(frozenset(), "f" * 32, "s2swclip, prompts: mvtec.pth", trained=True)


def source(name: str) -> Dataset:
    return pydicom.dcmread(BytesIO(dicom_file(name)))


@dataclass(frozen=True)
class Drawn(Finding):
    """A finding whose map and mask are given instead of stored."""

    inside: Mask = field(default_factory=lambda: np.zeros((0, 0), np.bool_))
    heat: Heat = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @override
    def mask(self) -> Mask:
        return self.inside

    @override
    def drawn(self) -> tuple[Heat, Mask]:
        return self.heat, self.inside


def findings(dataset: Dataset, per_frame: int = 1, indices: tuple[int, ...] = (0,)) -> Case:
    """Return a case over slices of a DICOM object, each with a mask of its own over a map that rises."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    found = []
    for index in indices:
        row = {
            "object_id": "id", "run_id": "run", "slice_index": index, "n_slices": frames * per_frame,
            "rows": dataset.Rows, "cols": dataset.Columns, "image_score": 0.5, "threshold": 0.5,
        }  # fmt: skip
        inside = np.zeros((dataset.Rows, dataset.Columns), np.bool_)
        inside[index + 2 : index + 9, 3:10] = True
        heat = np.linspace(0, 1, inside.size, dtype=np.float32).reshape(inside.shape)
        found.append(Drawn(index + 1, row, None, inside, heat))
    return Case(found, None, "dicom")


def ct_series(count: int, oblique: bool = False) -> list[Dataset]:
    """Return files of one series, 5 mm apart along the normal, out of order."""
    made = []
    row, col = (0.8, 0.6, 0.0), (0.0, 0.0, -1.0)
    for number in range(count):
        dataset = source("CT_small.dcm")
        dataset.SOPInstanceUID = f"1.2.3.{number + 1}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = number + 1
        if oblique:
            dataset.ImageOrientationPatient = [*row, *col]
            normal = np.cross(row, col)
            dataset.ImagePositionPatient = [float(f"{x:.6f}") for x in 10 + 5 * number * normal]
        else:
            dataset.ImagePositionPatient = [-158.0, -179.0, -75.7 + 5 * number]
        made.append(dataset)
    return made[::-1]


def cases_of(sources: list[Dataset]) -> Iterator[Case]:
    for number, dataset in enumerate(sources):
        case = findings(dataset)
        row = case.findings[0].row | {"object_id": f"id{number}"}
        yield replace(case, findings=[replace(case.findings[0], rank=number + 1, row=row)])
