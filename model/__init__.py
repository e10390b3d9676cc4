"""S2SWCLIP, the other detectors of its family, and their parts. Imports no Ray and reads no image files.

The names below are loaded at first use, so that ``s2sw.model.maps`` needs only NumPy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2sw.model.detectors.bundling import build_bundle, load_detector
    from s2sw.model.detectors.ensemble import build_ensemble

__all__ = ["build_bundle", "build_ensemble", "load_detector"]

_HOMES = {"build_bundle": "bundling", "build_ensemble": "ensemble", "load_detector": "bundling"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"s2sw.model.detectors.{_HOMES[name]}"), name)
    raise AttributeError(f"module 's2sw.model' has no attribute {name!r}")
