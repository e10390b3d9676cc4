"""A picture whose honest decoding takes long: a JPEG 2000 of one noisy tile many times over."""

import struct
from io import BytesIO

import numpy as np
from PIL import Image

SIDE = 1024  # of a tile: divisible by 2**5, so that every tile has the same bands
_SOT = b"\xff\x90\x00\x0a"
_END = b"\xff\xd9"


def slow_jpeg2000(tiles: int) -> bytes:
    """Return a valid grey codestream of ``tiles`` x ``tiles`` equal tiles (T.800 A.4.2, A.5.1)."""
    noise = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    out = BytesIO()
    Image.fromarray(noise).save(out, "JPEG2000", irreversible=False, no_jp2=True)
    single = out.getvalue()
    start = single.index(_SOT)
    header, tile = bytearray(single[:start]), single[start : -len(_END)]
    struct.pack_into(">II", header, 8, SIDE * tiles, SIDE * tiles)  # Xsiz, Ysiz
    parts = [tile[:4] + struct.pack(">H", number) + tile[6:] for number in range(tiles * tiles)]  # Isot
    return bytes(header) + b"".join(parts) + _END
