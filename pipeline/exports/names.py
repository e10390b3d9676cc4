"""The names of the formats. Apart from what writes them, so that the command line starts quickly."""

from enum import StrEnum


class FormatName(StrEnum):
    """A format of ``s2sw export --format``."""

    COCO = "coco"
    PNG = "png"
    CSV = "csv"
    DICOM_SEG = "dicom-seg"
    DICOM_HEAT = "dicom-heat"
    FIFTYONE = "fiftyone"
    LABEL_STUDIO = "label-studio"
    NIFTI = "nifti"
