"""S2SWCLIP and its parts. Knows no Ray and no files of images.

The two names below are loaded at first use, so that ``model.maps`` needs NumPy alone.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.bundle import build_bundle, load_detector

__all__ = ["build_bundle", "load_detector"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from model import bundle

        return getattr(bundle, name)
    raise AttributeError(f"module 'model' has no attribute {name!r}")
