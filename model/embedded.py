"""The embedded bundle: a small detector that needs no download. Its weights are random for now."""

import os
import shutil
from pathlib import Path

from model.bundle import build_bundle
from model.record import RECORD, read_record
from model.untrained import Shape, untrained_clip

SEED = 20240607
SHAPE = Shape(width=256, layers=12, patch=16, grid=15, joint=256, text_width=64, text_layers=4)
"""9.8 M visual parameters."""

VERSION = "untrained-1"
"""Changed whenever the embedded weights change, so that a cache never serves old ones."""


def embedded_bundle(cache_dir: Path) -> Path:
    """Return the folder of the embedded bundle, building it in cache_dir once, atomically."""
    out = Path(cache_dir) / f"embedded-{VERSION}"
    if (out / RECORD).is_file():
        read_record(out)
        return out
    build = out.with_name(f"{out.name}-{os.getpid()}")
    side = SHAPE.patch * SHAPE.grid
    build_bundle(build, untrained_clip(SHAPE, SEED), image_size=side, prompts="handwritten", trained=False)
    try:
        build.rename(out)
    except OSError:  # another process was first; both builds are the same
        read_record(out)
        shutil.rmtree(build)
    return out
