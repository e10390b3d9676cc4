"""What a run's record says of the software and of the detector."""

import importlib.metadata
import platform
from typing import TYPE_CHECKING, Any

from s2sw.schemas.tables import TABLES_VERSION

if TYPE_CHECKING:  # it brings PyTorch, and whoever only reads a summary needs none
    from s2sw.model.bundles.record import BundleRecord

VERSIONS_OF = ("s2sw", "torch", "ray", "pyarrow", "pydicom", "nibabel", "pillow", "open_clip_torch", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of what results may depend on."""
    found = {"python": platform.python_version(), "tables": str(TABLES_VERSION)}
    for name in VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from a source tree
            found[name] = "unknown"
    return found


def describe_bundle(record: "BundleRecord") -> dict[str, Any]:
    """Return what a summary says of the detector."""
    names = {"detector", "prompts", "trained", "fingerprint", "image_size", "grid", "family_names"}
    return record.model_dump(mode="json", include=names)
