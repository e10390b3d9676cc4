"""Functional groups of enhanced multi-frame objects (PS3.3 C.7.6.16): what holds for one frame.

pydicom looks for slope and window at the top level only and says nothing where they are in a group.
"""

from pydicom.dataset import Dataset

_TAKEN = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    "PixelMeasuresSequence": ("PixelSpacing",),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "FrameAnatomySequence": ("FrameLaterality",),
}
_TOP_LEVEL = (
    "Modality", "RescaleSlope", "RescaleIntercept", "RescaleType", "ModalityLUTSequence", "WindowCenter",
    "WindowWidth", "VOILUTFunction", "VOILUTSequence", "PixelSpacing", "ImagePositionPatient",
    "ImageOrientationPatient",
)  # fmt: skip


def frame_groups(dataset: Dataset, index: int) -> Dataset:
    """Return the attributes that hold for frame ``index``: top level, then shared, then per-frame groups."""
    shared = dataset.get("SharedFunctionalGroupsSequence")
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if not shared and not per_frame:
        return dataset
    frame = Dataset()
    for keyword in _TOP_LEVEL:
        if keyword in dataset:
            frame[keyword] = dataset[keyword]
    groups = [shared[0]] if shared else []
    if per_frame and index < len(per_frame):
        groups.append(per_frame[index])
    for group in groups:
        for sequence, keywords in _TAKEN.items():
            if group.get(sequence):
                # a group replaces all that lies above it: a window of the frame, a table of the object
                for keyword in keywords:
                    if keyword in frame:
                        del frame[keyword]
                    if keyword in group[sequence].value[0]:
                        frame[keyword] = group[sequence].value[0][keyword]
    return frame
