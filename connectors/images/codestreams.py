"""Pictures of other formats in a TIFF's strips and tiles: their size, and their samples as stored."""

from collections.abc import Callable

import numpy as np

from s2sw.connectors.grey import Frame
from s2sw.connectors.images.jpeg2000 import decode_components
from s2sw.connectors.images.jpegxl import decode_jxl
from s2sw.connectors.preflight.jpeg2000 import START, check_structure, j2k_header
from s2sw.connectors.preflight.jpegxl import read_jxl
from s2sw.connectors.preflight.pictures import Size, lerc_size, png_size, webp_size

Decode = Callable[[bytes, int], Frame]
"""From a stream and the samples of a pixel to (rows, cols) or (rows, cols, samples)."""


def _j2k_size(stream: bytes) -> Size | None:
    header = j2k_header(stream)
    return (header.rows, header.cols) if header else None


def _j2k(stream: bytes, samples: int) -> Frame:
    stream = stream[max(0, stream.find(START)) :]  # some writers put it into boxes
    check_structure(stream)
    return np.stack([plane for plane, _ in decode_components(stream)], axis=-1)


def _jxl_size(stream: bytes) -> Size | None:
    header = read_jxl(stream)
    return header.rows, header.cols


def _jxl(stream: bytes, samples: int) -> Frame:
    return decode_jxl(stream)


def _webp(stream: bytes, samples: int) -> Frame:
    import imagecodecs  # 80 MB of codecs: loaded when a file needs one

    # writers leave out opacity that is full everywhere
    frame: Frame = imagecodecs.webp_decode(stream, hasalpha=samples == 4)
    return frame


def _png(stream: bytes, samples: int) -> Frame:
    import imagecodecs

    frame: Frame = imagecodecs.png_decode(stream)
    return frame


def _lerc(stream: bytes, samples: int) -> Frame:
    import imagecodecs

    frame: Frame = imagecodecs.lerc_decode(stream)
    return frame


EMBEDDED: dict[int, tuple[Callable[[bytes], Size | None], Decode]] = {
    33003: (_j2k_size, _j2k), 33004: (_j2k_size, _j2k), 33005: (_j2k_size, _j2k), 34712: (_j2k_size, _j2k),
    34887: (lerc_size, _lerc), 34933: (png_size, _png), 50001: (webp_size, _webp), 50002: (_jxl_size, _jxl),
    52546: (_jxl_size, _jxl),
}  # fmt: skip
"""By TIFF compression: how to read the size, how to decode."""
