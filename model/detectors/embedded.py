"""The embedded bundle: a small trained detector that comes with the package and needs no download.

Its weights lie beside this file in half precision; docs/embedded-model.md says how they were made and how
well they do. A bundle is written from them once, in float32, into a cache.
"""

import os
import shutil
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from s2sw.model.bundles.files import write_bundle
from s2sw.model.bundles.record import RECORD, BundleRecord, file_sha256, read_record
from s2sw.model.detectors.s2swclip import S2swClipOptions, settle
from s2sw.model.heads.fusion import FAMILIES
from s2sw.model.towers.shapes import vision_shape
from s2sw.model.weights.efficientnet import MEAN, STD

SHIPPED = Path(__file__).parents[1] / "shipped" / "embedded.safetensors"
TWO_STREAM_FROM = 3
CLIP = "embedded tower over EfficientNet-lite0's stem"
PROMPTS = "class vectors trained on generated pictures, no text"


def embedded_bundle(cache_dir: Path) -> Path:
    """Return the folder of the embedded bundle, building it in cache_dir once, atomically."""
    out = Path(cache_dir) / f"embedded-{file_sha256(SHIPPED)[:12]}"
    if (out / RECORD).is_file():
        read_record(out, check_weights=False)  # whoever loads it checks the weights
        return out
    build = out.with_name(f"{out.name}-{os.getpid()}")
    bundle_of(load_file(SHIPPED), build)
    try:
        build.rename(out)
    except OSError:  # another process was first; both builds are the same
        read_record(out)
        shutil.rmtree(build)
    return out


def bundle_of(shipped: dict[str, Tensor], out: Path) -> Path:
    """Write a bundle, float32, of a trained network's tensors (``visual.*`` and class_vectors)."""
    tensors = {name: tensor.float() for name, tensor in shipped.items()}
    vision = vision_shape(tensors, "embedded weights", "gelu", None)
    record = BundleRecord(
        detector="s2swclip",
        image_size=vision.grid * vision.patch,
        grid=vision.grid,
        vision=vision,
        mean=MEAN,
        std=STD,
        settings=asdict(settle(vision.layers, S2swClipOptions(two_stream_from=TWO_STREAM_FROM))),
        family_names=FAMILIES,
        weights_sha256="",
        clip=CLIP,
        prompts=PROMPTS,
        trained=True,
    )
    return write_bundle(out, tensors, record)
