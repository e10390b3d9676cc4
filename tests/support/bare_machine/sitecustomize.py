"""Put on PYTHONPATH: Python as on a GPU machine that lacks some packages; importing one of them fails."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

LACKING = frozenset({"ray", "open_clip", "pydicom", "s3fs"})


class Lacking(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in LACKING:
            raise ModuleNotFoundError(f"No module named {name!r}: this machine lacks it", name=name)
        return None


if __name__ == "sitecustomize":  # not where a test imports it for its names
    sys.meta_path.insert(0, Lacking())
