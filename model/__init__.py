"""S2SWCLIP, the other detectors of its family, and their parts. Knows no Ray and no files of images.

The names below are loaded at first use, so that ``model.maps`` needs NumPy alone.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.detectors.bundling import build_bundle, load_detector
    from model.detectors.ensemble import build_ensemble

__all__ = ["build_bundle", "build_ensemble", "load_detector"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from importlib import import_module

        return getattr(
            import_module("model.detectors.ensemble" if name == "build_ensemble" else "model.bundles.files"),
            name,
        )
    raise AttributeError(f"module 'model' has no attribute {name!r}")
