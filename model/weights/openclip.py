"""CLIP weights by open_clip's names: "model/pretrained", downloaded or from open_clip's cache."""

import logging
from pathlib import Path

from s2sw.model.errors import BundleError
from s2sw.model.weights.clip import ClipWeights, read_clip
from s2sw.model.weights.load_options import LoadOptions, from_open_clip, known_activation


def read_named(clip: str | Path, activation: str | None = None) -> ClipWeights:
    """Read a CLIP as ``find_clip`` does; activation: over what the file's own configuration says."""
    chosen = known_activation(activation)
    weights = find_clip(clip, LoadOptions(chosen))
    return weights.with_activation(chosen) if chosen else weights


def find_clip(clip: str | Path, options: LoadOptions) -> ClipWeights:
    """Read a CLIP from an existing file, or by open_clip's name such as ``ViT-L-14-336/openai``."""
    path = Path(clip)
    if path.is_file():
        return read_clip(path, options)
    if path.suffix in (".pt", ".pth", ".bin", ".safetensors") or str(clip).count("/") != 1:
        raise BundleError(
            f"clip: {str(clip)!r} is no file; give a weights file or a name like 'ViT-L-14-336/openai'"
        )
    model, tag = str(clip).split("/")
    return read_pretrained(model, tag, options)


def read_pretrained(model: str, tag: str, options: LoadOptions) -> ClipWeights:
    """Read pretrained weights by open_clip's model name and tag, downloading them where that is possible."""
    import open_clip  # here, because it is slow to import and only bundling by name needs it

    config = open_clip.get_model_config(model)
    pretrained = open_clip.get_pretrained_cfg(model, tag)
    if not config or not pretrained:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise BundleError(f"clip: open_clip knows no {model}/{tag}; tags of {model}: {tags}")
    if "timm_model_name" in config["vision_cfg"] or isinstance(config["vision_cfg"].get("layers"), list):
        raise BundleError(f"clip: {model} has no plain ViT image tower; give a ViT of the CLIP family")
    logging.getLogger("huggingface_hub").setLevel(
        logging.ERROR
    )  # it retries aloud; the error below says it once
    try:
        path = open_clip.download_pretrained(pretrained)
    except (OSError, ValueError, RuntimeError) as error:
        raise BundleError(
            f"clip: {model}/{tag} is not in open_clip's cache and cannot be downloaded "
            f"({type(error).__name__}); fetch the file on a connected machine and give its path"
        ) from error
    known = from_open_clip(config, pretrained, quick_gelu=bool(pretrained.get("quick_gelu")))
    return read_clip(Path(path), options.or_else(known))
