"""The detectors that a bundle can name."""

from importlib import import_module

from model.detectors.contract import DetectorKind
from model.errors import BundleError

DETECTORS = {
    "s2swclip": "model.detectors.s2swclip",
    "anomalyclip": "model.detectors.anomalyclip",
    "april_gan": "model.detectors.april_gan",
    "winclip": "model.detectors.winclip",
    "ensemble": "model.detectors.ensemble",
}
"""Name to the module whose KIND it is; imported when a bundle asks for it."""


def detector_kind(name: str) -> DetectorKind:
    """Return the kind of detector of this name; raises BundleError for an unknown one."""
    if name not in DETECTORS:
        raise BundleError(f"detector: {name!r} is unknown; known are {', '.join(sorted(DETECTORS))}")
    kind: DetectorKind = import_module(DETECTORS[name]).KIND
    return kind
