"""The detectors that a bundle can name."""

from model import s2swclip
from model.errors import BundleError
from model.kinds import DetectorKind

DETECTORS: dict[str, DetectorKind] = {"s2swclip": s2swclip.KIND}


def detector_kind(name: str) -> DetectorKind:
    """Return the kind of detector of this name; raises BundleError for an unknown one."""
    if name not in DETECTORS:
        raise BundleError(f"detector: {name!r} is unknown; known are {', '.join(sorted(DETECTORS))}")
    return DETECTORS[name]
