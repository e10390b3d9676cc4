"""From a detector's name to its trainee, and from the trainee to a bundle and a checkpoint."""

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import save

from s2sw.model.detectors.bundling import build_bundle
from s2sw.model.detectors.tower_detector import quarters
from s2sw.model.errors import BundleError
from s2sw.model.heads.april_linear import read_linear
from s2sw.model.prompts.learned import read_prompts
from s2sw.model.training import adaptclip, april_gan
from s2sw.model.training.prompt_learning import anomalyclip_trainee, s2swclip_trainee
from s2sw.model.training.recipes import Recipe
from s2sw.model.training.trainees import How, Trainee, drawn
from s2sw.model.weights.adaptclip import read_adaptclip
from s2sw.model.weights.clip import ClipWeights
from s2sw.schemas.whole_files import BY_UMASK, write_whole


def make_trainee(
    detector: str,
    clip: ClipWeights,
    recipe: Recipe,
    how: How,
    *,
    names: Sequence[str],
    seed: int,
    taps: str = "released",
    start: Path | None = None,
) -> Trainee:
    """Return what is trained of a detector.

    names: the classes of the pictures. taps: S2SWCLIP's, "released" or "per_layer". start: a checkpoint to
    begin with instead of what the seed draws. Raises BundleError.
    """
    if recipe.image_size < clip.vision.patch:
        raise BundleError(f"image_size: {recipe.image_size} is below one patch of {clip.vision.patch} px")
    if detector == "april_gan":
        shape = (len(quarters(clip.vision.layers)), clip.vision.width, clip.vision.embed_dim)
        linear = read_linear(start, *shape) if start else april_gan.drawn(clip, seed)
        return april_gan.april_gan_trainee(clip, names, linear, how.device)
    if detector == "adaptclip":
        joint, contexts = clip.vision.embed_dim, recipe.contexts
        found = read_adaptclip(start, clip.text, joint) if start else adaptclip.drawn(clip, contexts, seed)
        return adaptclip.adaptclip_trainee(clip, found, how)
    width, contexts = clip.text.width, recipe.contexts
    begun = read_prompts(start, width, families=()) if start else drawn(clip.text, contexts, seed)
    if detector == "anomalyclip":
        return anomalyclip_trainee(clip, begun, how)
    return s2swclip_trainee(clip, recipe, begun, how, taps)


def finish(trainee: Trainee, out: Path, clip: ClipWeights, detector: str, side: int) -> Path:
    """Build the bundle of what was trained; side: of the bundle's input, pixels. Raises BundleError."""
    return build_bundle(out, clip, image_size=side, detector=detector, **trainee.options())


def write_checkpoint(trainee: Trainee, path: Path) -> None:
    """Write the parameters by their published names, for ``bundle build`` and for later training."""
    named = {name: value.detach().cpu().contiguous() for name, value in trainee.checkpoint().items()}
    write_whole(path, save(dict(sorted(named.items()))), BY_UMASK)
