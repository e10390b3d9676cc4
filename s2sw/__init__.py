"""Screen whole image archives for anomalies: detectors from CLIP, Ray Data, results in Parquet.

The folders ``schemas``, ``connectors``, ``model``, ``pipeline`` and ``jobs`` of this package are links to the
folders of these names at the top of the source tree. docs/api.md lists what is public.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from s2sw.model import build_bundle, load_detector
    from s2sw.pipeline.results import full_map, mask, open_results

__all__ = ["__version__", "build_bundle", "load_detector", "open_results", "full_map", "mask"]

_HOMES = {"s2sw.model": ("build_bundle", "load_detector"),
          "s2sw.pipeline.results": ("open_results", "full_map", "mask")}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load a public name at its first use: reading results must not import torch."""
    from importlib import import_module, metadata

    if name == "__version__":
        return metadata.version("s2sw")
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 's2sw' has no attribute {name!r}")
