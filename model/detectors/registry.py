"""The detectors that a bundle can name."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from s2sw.model.bundles.record import ENSEMBLE
from s2sw.model.detectors.kinds import DetectorKind
from s2sw.model.detectors.options import BuildOptions, read_options
from s2sw.model.errors import BundleError

SYSTEMS = {
    "s2swclip": "s2sw.model.detectors.s2swclip",
    "anomalyclip": "s2sw.model.detectors.anomalyclip",
    "april_gan": "s2sw.model.detectors.april_gan",
    "winclip": "s2sw.model.detectors.winclip",
    "adaptclip": "s2sw.model.detectors.adaptclip",
    "af_clip": "s2sw.model.detectors.af_clip",
    "aa_clip": "s2sw.model.detectors.aa_clip",
    "mvfa": "s2sw.model.detectors.mvfa",
    "musc": "s2sw.model.detectors.musc",
    "rareclip": "s2sw.model.detectors.rareclip",
    "dino": "s2sw.model.detectors.dino",
    "embedded": "s2sw.model.detectors.embedded",
}
"""What a bundle is built as; name to the module whose KIND it is, imported when it is asked for."""
DETECTORS = SYSTEMS | {ENSEMBLE: "s2sw.model.detectors.ensemble"}


def detector_kind(name: str) -> DetectorKind:
    """Return the kind of detector of this name; raises BundleError for an unknown one."""
    if name not in DETECTORS:
        raise BundleError(f"detector: {name!r} is unknown; known are {', '.join(sorted(DETECTORS))}")
    kind: DetectorKind = import_module(DETECTORS[name]).KIND
    return kind


def options_of(detector: str, given: Mapping[str, Any]) -> BuildOptions:
    """Return the checked options of a detector; raises BundleError for a wrong or another one's option."""
    kind = detector_kind(detector).options
    for name in given.keys() - kind.model_fields.keys():
        others = [other for other in SYSTEMS if name in detector_kind(other).options.model_fields]
        elsewhere = f"; {name} is an option of {', '.join(others)}" if others else ""
        own = ", ".join(sorted(kind.model_fields)) or "none"
        raise BundleError(f"{name}: {detector} has no such option; it has {own}{elsewhere}")
    return read_options(detector, kind, given)
