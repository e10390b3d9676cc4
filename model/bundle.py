"""Bundles: a detector in a folder, text side already computed, sealed by SHA-256."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.errors import BundleError
from model.hints import Hints, known_activation
from model.kinds import Detector, Precision
from model.openclip import find_clip
from model.record import RECORD, WEIGHTS, BundleRecord, file_sha256, read_record
from model.registry import detector_kind
from model.weights import ClipWeights


def build_bundle(
    out_dir: str | Path,
    clip: str | Path | ClipWeights,
    *,
    image_size: int = 518,
    detector: str = "s2swclip",
    activation: str | None = None,
    trained: bool = True,
    **options: Any,
) -> Path:
    """Build a bundle: the visual weights, the text side computed once, and bundle.json. Returns its folder.

    clip: an open_clip name ("ViT-L-14-336/openai"), a weights file (OpenAI .pt, open_clip or Hugging Face
        safetensors) or weights in memory. activation: "quick_gelu" or "gelu", over what the file's own
        configuration says.
    image_size: side of the square input, pixels. trained: False marks weights that are random.
    options: the detector's own; for s2swclip prompts (file or "handwritten"), mix, taps, tap_blocks and
        two_stream_from. See the detector's ``build``.
    Raises BundleError, with one line that says what to do. The folder appears whole or not at all.
    """
    out = Path(out_dir)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BundleError(f"{out}: exists and is not empty; give a new folder")
    kind = detector_kind(detector)
    chosen = known_activation(activation)
    weights = clip if isinstance(clip, ClipWeights) else find_clip(clip, Hints(chosen))
    if chosen:
        weights = weights.with_activation(chosen)
    grid = image_size // weights.vision.patch
    if grid < 1:
        raise BundleError(f"image_size: {image_size} is below one patch of {weights.vision.patch} px")
    built = kind.build(weights, image_size, options)
    tensors = {n: t for n, t in weights.tensors.items() if n.startswith("visual.")} | built.tensors
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        save_file({n: t.contiguous() for n, t in sorted(tensors.items())}, draft / WEIGHTS)
        mean, std = weights.normalisation
        record = BundleRecord(
            detector=detector,
            image_size=image_size,
            grid=grid,
            vision=weights.vision,
            mean=mean,
            std=std,
            settings=built.settings,
            family_names=built.family_names,
            weights_sha256=file_sha256(draft / WEIGHTS),
            clip=weights.label,
            prompts=built.prompts,
            trained=trained,
        )
        (draft / RECORD).write_text(record.sealed().text(), encoding="utf-8")
        (draft / WEIGHTS).chmod(0o644)
        draft.chmod(0o755)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return out


def load_detector(bundle_dir: str | Path, device: str = "cpu", precision: Precision = "fp32") -> Detector:
    """Load a bundle after checking every byte of it. No text tower is loaded.

    device: "cpu", "cuda" or "cuda:1". precision: "fp32", or "bf16" for the tower's products.
    Raises BundleError for a folder that is no bundle, was changed, or needs a device that is not there.
    """
    folder = Path(bundle_dir)
    record = read_record(folder)
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise BundleError(f"device: {device!r} given, but no CUDA device is visible; use device='cpu'")
    try:
        tensors = read_weights(folder / WEIGHTS, precision)
    except SafetensorError as error:
        raise BundleError(f"{folder / WEIGHTS}: not readable as safetensors ({error})") from error
    return detector_kind(record.detector).load(record, tensors, device, precision)


def read_weights(path: Path, precision: Precision) -> dict[str, Tensor]:
    """Read a bundle's tensors: float32 mapped from the file; for bf16 the blocks as bfloat16, copied.

    For bf16 the file is mapped anew for each tensor, so that it is never in memory as a whole.
    """
    if precision == "fp32":
        return dict(load_file(path))
    with safe_open(path, "pt") as file:
        names = list(file.keys())
    tensors = {}
    for name in names:
        with safe_open(path, "pt") as file:
            wanted = torch.bfloat16 if name.startswith("visual.transformer.") else torch.float32
            tensors[name] = file.get_tensor(name).to(wanted, copy=True)
    return tensors
