"""Decoding to 518 x 518 beside plain pydicom and Pillow doing the same work, in turns, on one core.

``python -m benchmarks.decode_speed``: images a second of both and their ratio (median over rounds), for
512 x 512 CT slices (native and JPEG 2000), 12-megapixel JPEGs at full and at scaled size, and PNG.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pydicom
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from benchmarks.figures import note
from s2sw.connectors.decode import decode
from s2sw.schemas.decoding import DecodeSettings
from tests.support.showing import HOUNSFIELD, window
from tests.support.writing import CT, J2K, dicom, encapsulated, image_module, native

SIDE = 518
SETTINGS = DecodeSettings()
Pixels = np.ndarray


def texture(rows: int, cols: int, seed: int) -> np.ndarray:
    """A picture with the energy of photographs: octaves of smooth noise, 0 to 1."""
    dice = np.random.default_rng(seed)
    total = np.zeros((rows, cols))
    for octave in range(1, 9):
        size = (min(cols, 3 << octave), min(rows, 2 << octave))
        noise = Image.fromarray(dice.standard_normal(size[::-1]).astype(np.float32))
        total += np.asarray(noise.resize((cols, rows), Image.Resampling.BICUBIC)) / 1.6**octave
    total += dice.standard_normal((rows, cols)) * 0.01
    return (total - total.min()) / np.ptp(total)


def ct_native() -> bytes:
    values = (texture(512, 512, 1) * 3000).astype(np.int16)
    return native(values, stored=16, extra=HOUNSFIELD | window(40, 400))


def ct_j2k() -> bytes:
    import openjpeg

    values = (texture(512, 512, 2) * 3000).astype(np.uint16)
    stream = openjpeg.encode(values, bits_stored=12)  # type: ignore[attr-defined]
    module = image_module(512, 512, 16, stored=12) | HOUNSFIELD | window(40, 400)
    return dicom(module, encapsulated(bytes(stream)), J2K, CT)


def encoded(pixels: np.ndarray, form: str = "JPEG", **options: object) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def photograph(form: str, **options: object) -> bytes:
    planes = [texture(3000, 4000, seed) for seed in (3, 4, 5)]
    return encoded((np.stack(planes, -1) * 255).astype(np.uint8), form, **options)


def noise() -> bytes:
    """Independent samples: the worst that a photograph can hold."""
    return encoded(np.random.default_rng(6).integers(0, 256, (3000, 4000, 3), dtype=np.uint8), quality=90)


def edges() -> bytes:
    """A checkerboard of 7 x 11 pixels, black and white."""
    board = (np.add.outer(np.arange(3000) // 7, np.arange(4000) // 11) % 2 * 255).astype(np.uint8)
    return encoded(np.stack([board] * 3, -1), quality=90)


def resized(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def ours(data: bytes, target: int | None = None) -> np.ndarray:
    (only,) = decode(data, SETTINGS, target=target)[1]
    return resized(only.pixels)


def plain_dicom(data: bytes) -> np.ndarray:
    """What a script with pydicom does: rescale, window, 8 bits."""
    dataset = pydicom.dcmread(BytesIO(data))
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = shown.min(), shown.max()
    return resized(((shown - low) / max(high - low, 1) * 255).astype(np.uint8))


def plain_image(data: bytes) -> np.ndarray:
    return resized(np.asarray(Image.open(BytesIO(data)).convert("RGB")))


def rate(function: Callable[[], object], seconds: float) -> float:
    """Return calls a second of CPU time, over at least ``seconds``."""
    count, started = 0, time.process_time()
    while (spent := time.process_time() - started) < seconds:
        function()
        count += 1
    return count / spent


def compare(name: str, mine: Callable[[], object], plain: Callable[[], object], rounds: int) -> float:
    mine(), plain()
    pairs = [(rate(mine, 0.5), rate(plain, 0.5)) for _ in range(rounds)]
    ratio = statistics.median(a / b for a, b in pairs)
    fast, slow = (statistics.median(column) for column in zip(*pairs, strict=True))
    note(f"decoding {name}, against plain pydicom or Pillow", ratio, at_least=0.9)
    print(f"{name:34s} {fast:8.1f} images/s   plain {slow:8.1f}   ratio {ratio:.2f}")
    return ratio


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    for name, data in (("CT 512 x 512 native", ct_native()), ("CT 512 x 512 JPEG 2000", ct_j2k())):
        compare(name, lambda data=data: ours(data), lambda data=data: plain_dicom(data), rounds)
    jpeg = photograph("JPEG", quality=90)
    compare("JPEG 12 MP, full", lambda: ours(jpeg), lambda: plain_image(jpeg), rounds)
    compare("JPEG 12 MP, scaled", lambda: ours(jpeg, SIDE), lambda: plain_image(jpeg), rounds)
    for name, data in (("photograph", jpeg), ("noise", noise()), ("edges", edges())):
        error = np.abs(ours(data, SIDE).astype(int) - ours(data).astype(int))
        tail = np.percentile(error, 99.9)
        print(f"scaled, {name}: mean {error.mean():.2f}, 99.9 % <= {tail:.0f}, all <= {error.max()}")
    png = photograph("PNG", compress_level=1)
    compare("PNG 12 MP", lambda: ours(png), lambda: plain_image(png), rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
