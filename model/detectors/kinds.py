"""What a bundle, the command line and the documentation need to know about a kind of detector."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from s2sw.model.bundles.record import BundleRecord, new_record
from s2sw.model.detectors.contract import Detector
from s2sw.model.detectors.options import BuildOptions
from s2sw.model.precision import Precision
from s2sw.model.towers.normalisation import Colour
from s2sw.model.weights.clip import ClipWeights


@dataclass(frozen=True, slots=True)
class Built:
    """What a kind of detector adds to a bundle beside the visual tower.

    tensors: computed once from the text side, checkpoints and normal pictures (names without ``visual.``).
    settings: for bundle.json. normalisation: mean and deviation of the input; None is the CLIP's own.
    """

    tensors: dict[str, Tensor]
    settings: dict[str, Any]
    family_names: tuple[str, ...]
    prompts: str
    normalisation: tuple[Colour, Colour] | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """Where a detector comes from, as docs/weights.md and ``s2sw bundle build`` tell it.

    name: as its paper calls it. checkpoint: what is published of it, or that nothing is needed. licence: of
    the released program and checkpoints. trained_on: the data of the published checkpoints. means: what
    follows for medical or industrial use.
    """

    name: str
    checkpoint: str
    licence: str
    trained_on: str
    means: str


@dataclass(frozen=True, slots=True)
class DetectorKind:
    """One detector: how it is built and loaded, and what it needs for that.

    build: (clip, image_size, options) to Built; None for a detector that stands on no CLIP. load: (record,
    visual and own tensors, device, precision) to a detector. options: what building takes. image_size, clip:
    what its publication used. bundle: (folder, image_size, options, trained) writes the whole bundle, where
    build is None.
    """

    build: Callable[[ClipWeights, int, Any], Built] | None
    load: Callable[[BundleRecord, dict[str, Tensor], str, Precision], Detector]
    options: type[BuildOptions]
    publication: Publication | None = None
    image_size: int = 518
    clip: str = "ViT-L-14-336/openai"
    bundle: Callable[[Path, int, Any, bool], Path] | None = None


def draft_record(
    detector: str, clip: ClipWeights, image_size: int, built: Built, **more: Any
) -> BundleRecord:
    """Return the record of a bundle that is being built; ``more`` fills in what is known only then."""
    mean, std = built.normalisation or clip.normalisation
    entries = {
        "detector": detector,
        "image_size": image_size,
        "grid": image_size // clip.vision.patch,
        "vision": clip.vision,
        "mean": mean,
        "std": std,
        "settings": built.settings,
        "family_names": built.family_names,
        "weights_sha256": "",
        "clip": clip.label,
        "prompts": built.prompts,
        "trained": True,
    }
    return new_record(**(entries | more))
