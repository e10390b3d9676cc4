"""The detectors that a bundle can name."""

from importlib import import_module

from model.errors import BundleError
from model.kinds import DetectorKind

DETECTORS = {
    "s2swclip": "model.s2swclip",
    "anomalyclip": "model.anomalyclip",
    "april_gan": "model.april_gan",
    "winclip": "model.winclip",
    "ensemble": "model.ensemble",
}
"""Name to the module whose KIND it is; imported when a bundle asks for it."""


def detector_kind(name: str) -> DetectorKind:
    """Return the kind of detector of this name; raises BundleError for an unknown one."""
    if name not in DETECTORS:
        raise BundleError(f"detector: {name!r} is unknown; known are {', '.join(sorted(DETECTORS))}")
    kind: DetectorKind = import_module(DETECTORS[name]).KIND
    return kind
