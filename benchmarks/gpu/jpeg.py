"""Stage 4: JPEG files decoded on the GPU by torchvision, against Pillow on all cores."""

import io
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.gpu.options import Options, Results, failure

SIDES = (518, 1024, 4096)
FILES = {518: 2048, 1024: 1024, 4096: 96}
AT_ONCE = 32
"""Files given to the GPU's decoder in one call."""


def run(options: Options) -> None:
    results = Results(options, "jpeg")
    for side in (64,) if options.quick else SIDES:
        data = encoded(side)
        count = 8 if options.quick else FILES[side]
        results[f"pillow.{side}"] = {"images_per_s": pillow_rate(data, count), "processes": processes()}
        try:
            results[f"torchvision.{side}"] = {"images_per_s": torchvision_rate(options, data, count)}
        except Exception as error:  # noqa: BLE001 - not there, or built without the GPU's decoder
            results[f"torchvision.{side}"] = {"failed": failure(error)}


def encoded(side: int) -> bytes:
    """Return a JPEG file of a smooth picture with sensor noise."""
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 255, (16, 16, 3), np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    noisy = np.asarray(small, np.float32) + random.normal(0, 4, (side, side, 3))
    sink = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(sink, "JPEG", quality=90)
    return sink.getvalue()


def processes() -> int:
    return len(os.sched_getaffinity(0))


def decode_some(data: bytes, count: int) -> None:
    for _ in range(count):
        with Image.open(io.BytesIO(data)) as picture:
            picture.convert("RGB").load()


def pillow_rate(data: bytes, count: int) -> float:
    each = max(1, count // processes())
    with ProcessPoolExecutor(processes(), mp_context=get_context("fork")) as pool:
        work = partial(list_of, partial(decode_some, data), each)
        work(pool)
        started = time.perf_counter()
        work(pool)
        return each * processes() / (time.perf_counter() - started)


def list_of(run: Callable[[int], None], each: int, pool: ProcessPoolExecutor) -> None:
    list(pool.map(run, [each] * processes()))


def torchvision_rate(options: Options, data: bytes, count: int) -> float:
    from torchvision.io import ImageReadMode, decode_jpeg  # here: the other figures need no torchvision

    raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    given: Any = [raw] * min(AT_ONCE, count)

    def decode() -> None:
        decode_jpeg(given, mode=ImageReadMode.RGB, device=options.device)
        if options.on_gpu:
            torch.cuda.synchronize()

    decode()
    rounds = max(1, count // len(given))
    started = time.perf_counter()
    for _ in range(rounds):
        decode()
    return rounds * len(given) / (time.perf_counter() - started)
