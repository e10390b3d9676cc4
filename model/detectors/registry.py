"""The detectors that a bundle can name."""

from importlib import import_module

from s2sw.model.detectors.contract import DetectorKind
from s2sw.model.errors import BundleError

DETECTORS = {
    "s2swclip": "s2sw.model.detectors.s2swclip",
    "anomalyclip": "s2sw.model.detectors.anomalyclip",
    "april_gan": "s2sw.model.detectors.april_gan",
    "winclip": "s2sw.model.detectors.winclip",
    "dino": "s2sw.model.detectors.dino",
    "embedded": "s2sw.model.detectors.embedded",
    "ensemble": "s2sw.model.detectors.ensemble",
}
"""Name to the module whose KIND it is; imported when a bundle asks for it."""


def detector_kind(name: str) -> DetectorKind:
    """Return the kind of detector of this name; raises BundleError for an unknown one."""
    if name not in DETECTORS:
        raise BundleError(f"detector: {name!r} is unknown; known are {', '.join(sorted(DETECTORS))}")
    kind: DetectorKind = import_module(DETECTORS[name]).KIND
    return kind
