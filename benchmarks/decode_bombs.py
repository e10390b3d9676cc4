"""What refusing a bomb costs: CPU milliseconds and growth of peak memory for each; and honest giants.

``python -m benchmarks.decode_bombs``
"""

import argparse
import struct
import sys
import time

import numpy as np

from benchmarks.figures import note
from s2sw.connectors.archives.members import members
from s2sw.connectors.decode import decode
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import ScreeningError
from tests.support.archive_bombs import ARCHIVES
from tests.support.bombs import DECODED, HARMLESS
from tests.support.memory import peak_mib
from tests.support.raster_bombs import RASTERS
from tests.support.writing import RLE, SECONDARY, dicom, encapsulated, image_module, native

SETTINGS = DecodeSettings()
SIDE = 16384


def refuse(data: bytes, archive: bool) -> tuple[str, float]:
    """Return how the object ended and the milliseconds of CPU until then."""
    started = time.process_time()
    try:
        for _ in members(data, SETTINGS) if archive else decode(data, SETTINGS)[1]:
            pass
        ended = "decoded"
    except ScreeningError as refusal:
        ended = refusal.reason.value
    return ended, (time.process_time() - started) * 1000


def honest(name: str) -> bytes:
    """A DICOM frame of 16384 x 16384 bytes that is what it says."""
    if name == "native":
        return native(
            np.arange(SIDE, dtype=np.uint8)[None].repeat(SIDE, 0), sop_class=SECONDARY, modality="OT"
        )
    frame = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\x40\x81\x90" * (SIDE * SIDE // 256)
    return dicom(image_module(SIDE, SIDE, 8), encapsulated(frame), RLE, SECONDARY)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peak", action="store_true", help="print only the peak memory of all, MiB")
    parser.add_argument(
        "--honest", choices=("native", "rle"), help="decode an honest frame of 268 MB instead"
    )
    options = parser.parse_args()
    if options.honest:
        (only,) = decode(honest(options.honest), SETTINGS)[1]
        print(*only.pixels.shape, peak_mib())
        return 0
    refuse(DECODED["dicom: 65535 x 65535"][0](), archive=False)  # imports and first calls are not the bomb's
    cases = [(name, make, False) for name, (make, _) in (DECODED | RASTERS).items()]
    cases += [(name, make, False) for name, make in HARMLESS.items()]
    cases += [(name, make, True) for name, (make, _) in ARCHIVES.items()]
    for name, make, archive in cases:
        data = make()
        before = peak_mib()
        ended, milliseconds = refuse(data, archive)
        if not options.peak:
            growth = peak_mib() - before
            print(f"{name:45s} {len(data):10d} B {milliseconds:8.1f} ms  +{growth:3d} MiB  {ended}")
    note(f"{len(cases)} decompression bombs refused: peak memory", peak_mib(), "MiB", at_most=500)
    print("peak MiB", peak_mib())
    return 0


if __name__ == "__main__":
    sys.exit(main())
