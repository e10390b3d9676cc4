"""Every DICOM file that pydicom and pydicom-data carry, and how each must end.

``python -m tests.support.corpus`` writes the table anew; read its difference before believing it.
"""

import hashlib
import sys
from pathlib import Path

import data_store
import pydicom

from s2sw.connectors.decode import decode
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import ScreeningError

TABLE = Path(__file__).with_name("corpus.tsv")
ROOTS = {
    "pydicom": Path(pydicom.__file__).parent / "data",
    "pydicom-data": Path(data_store.__file__).parent / "data",
}
NOT_DICOM = frozenset((".py", ".pyc", ".md", ".txt", ".json", ".sh", ".cfg", ".icc", ".dump"))


def files() -> dict[str, Path]:
    """Return the corpus: name in the table to path."""
    found = {}
    for root, folder in ROOTS.items():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix not in NOT_DICOM and path.name != "README":
                found[f"{root}/{path.relative_to(folder)}"] = path
    return found


def ending(data: bytes) -> tuple[str, str, str]:
    """Return status or reason, number of slices, and a hash over shapes and pixels of all slices."""
    digest, count = hashlib.sha256(), 0
    try:
        for picture in decode(data, DecodeSettings(derived_objects=True))[1]:
            digest.update(f"{picture.pixels.shape}".encode() + picture.pixels.tobytes())
            count += 1
    except ScreeningError as refusal:
        return refusal.reason.value, "", ""
    return "screened", str(count), digest.hexdigest()[:16]


def expected() -> dict[str, list[str]]:
    """Return the table: name to status under default settings, ending, slices, hash and why."""
    rows = [line.split("\t") for line in TABLE.read_text().splitlines()[1:]]
    return {name: columns for name, *columns in rows}


def plain_status(data: bytes) -> str:
    """Return how an object ends under default settings."""
    try:
        for _ in decode(data, DecodeSettings())[1]:
            pass
    except ScreeningError as refusal:
        return refusal.reason.value
    return "screened"


def main() -> int:
    old = expected() if TABLE.exists() else {}
    lines = ["file\tdefault\twith derived\tslices\tpixels\twhy"]
    for name, path in files().items():
        data = path.read_bytes()
        why = old[name][-1] if name in old else ""
        lines.append("\t".join((name, plain_status(data), *ending(data), why)))
    TABLE.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
