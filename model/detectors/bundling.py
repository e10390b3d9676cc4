"""Building a bundle with a detector of any kind, and loading it."""

from pathlib import Path
from typing import Any

import torch

from s2sw.model.bundles.files import new_folder, read_bundle, write_bundle
from s2sw.model.bundles.record import read_record
from s2sw.model.detectors.contract import Detector
from s2sw.model.detectors.kinds import draft_record
from s2sw.model.detectors.registry import detector_kind, options_of
from s2sw.model.errors import BundleError
from s2sw.model.precision import Precision, usable
from s2sw.model.weights.clip import ClipWeights
from s2sw.model.weights.load_options import known_activation
from s2sw.model.weights.openclip import read_named
from s2sw.schemas.errors import UserError


def build_bundle(
    out_dir: str | Path,
    clip: str | Path | ClipWeights | None = None,
    *,
    image_size: int | None = None,
    detector: str = "s2swclip",
    activation: str | None = None,
    trained: bool = True,
    **options: Any,
) -> Path:
    """Build a bundle: the visual weights, the text side computed once, and bundle.json. Returns its folder.

    clip: an open_clip name ("ViT-L-14-336/openai"), a weights file (OpenAI .pt, open_clip or Hugging Face
        safetensors) or weights in memory; by default those that the detector was published with. activation:
        "quick_gelu" or "gelu"; overrides the configuration beside the file.
    image_size: side of the square input, pixels; by default the published one. trained: False marks random
        weights.
    options: options of the detector, such as prompts of s2swclip; docs/detectors.md lists them.
    Raises BundleError, with one line that says what to do. The folder is created in one step.
    """
    out = new_folder(out_dir)
    kind, checked = detector_kind(detector), options_of(detector, options)
    if kind.bundle is not None:
        if clip is not None or activation is not None:
            raise BundleError(f"clip, activation: the detector {detector} takes no CLIP; leave them out")
        return kind.bundle(out, image_size or kind.image_size, checked, trained)
    if kind.build is None:
        raise BundleError(
            "detector: an ensemble is made of bundles; see build_ensemble, or s2sw bundle ensemble"
        )
    weights = _weights(clip or kind.clip, activation)
    side = image_size or kind.image_size
    if side < weights.vision.patch:
        raise BundleError(f"image_size: {side} is below one patch of {weights.vision.patch} px")
    built = kind.build(weights, side, checked)
    record = draft_record(detector, weights, side, built, trained=trained)
    return write_bundle(out, weights.bundled(built.tensors), record)


def _weights(clip: str | Path | ClipWeights, activation: str | None) -> ClipWeights:
    if not isinstance(clip, ClipWeights):
        return read_named(clip, activation)
    chosen = known_activation(activation)
    return clip.with_activation(chosen) if chosen else clip


def load_detector(bundle_dir: str | Path, device: str = "cpu", precision: Precision = "fp32") -> Detector:
    """Load a bundle after checking every byte of it. No text tower is loaded.

    device: "cpu", "cuda" or "cuda:1". precision: "fp32", or "bf16" for the tower's products, or "int8" for
    those of its linear layers (CPUs with AVX-512 VNNI); a device without products for it computes in float32,
    with a warning.
    Raises BundleError if the folder is not a bundle, was changed, or needs a device that is not there.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        read_record(Path(bundle_dir))
        raise BundleError(f"device: {device!r} given, but no CUDA device is visible; use device='cpu'")
    precision = usable(precision, torch.device(device))
    record, tensors = read_bundle(Path(bundle_dir), precision)
    kind = detector_kind(record.detector)
    try:
        return kind.load(record, tensors, device, precision)
    # tensors and settings that are missing or of other shapes: whoever made the bundle wrote them
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        if isinstance(error, UserError | torch.OutOfMemoryError):
            raise
        what = f"its tensors and settings are not those of {record.detector} ({type(error).__name__})"
        raise BundleError(f"{bundle_dir}: {what}; build it again") from error
