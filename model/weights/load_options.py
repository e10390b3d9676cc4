"""What a weights file leaves open and a configuration beside it, or open_clip, may say."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from s2sw.model.errors import BundleError
from s2sw.model.towers.normalisation import MEAN, STD, Colour
from s2sw.model.towers.shapes import Activation


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Activation, heads of both towers, and the input normalisation; None where it is not known."""

    activation: Activation | None = None
    vision_heads: int | None = None
    text_heads: int | None = None
    mean: Colour | None = None
    std: Colour | None = None

    def or_else(self, other: "LoadOptions") -> "LoadOptions":
        """Return these options, with what they leave open taken from other."""
        return LoadOptions(*(getattr(self, f.name) or getattr(other, f.name) for f in fields(self)))

    @property
    def normalisation(self) -> tuple[Colour, Colour]:
        """Mean and standard deviation of the input channels in 0..1; OpenAI's where nothing is known."""
        return self.mean or MEAN, self.std or STD


def options_beside(weights: Path) -> LoadOptions:
    """Read ``open_clip_config.json`` or Hugging Face's ``config.json`` from the folder of a weights file."""
    for name, read in (("open_clip_config.json", _open_clip), ("config.json", _huggingface)):
        path = weights.parent / name
        if path.is_file():
            try:
                found = json.loads(path.read_text())
                return read(found)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise BundleError(
                    f"{path}: not a CLIP configuration ({error}); correct or remove it"
                ) from error
    return LoadOptions()


def _open_clip(config: dict[str, Any]) -> LoadOptions:
    preprocess = config.get("preprocess_cfg", {})
    return from_open_clip(
        config["model_cfg"], preprocess, quick_gelu=bool(config["model_cfg"].get("quick_gelu"))
    )


def from_open_clip(model: dict[str, Any], preprocess: dict[str, Any], *, quick_gelu: bool) -> LoadOptions:
    """Return the options of an open_clip model configuration and its preprocessing entry."""
    vision, text = model["vision_cfg"], model["text_cfg"]
    mean, std = preprocess.get("mean"), preprocess.get("std")
    return LoadOptions(
        "quick_gelu" if quick_gelu else "gelu",
        int(vision["width"]) // int(vision.get("head_width", 64)),
        int(text["heads"]) if "heads" in text else None,
        tuple(mean) if mean else None,
        tuple(std) if std else None,
    )


def _huggingface(config: dict[str, Any]) -> LoadOptions:
    """Read a CLIPModel's config.json; its defaults for absent entries are those of ViT-B/32."""
    if "vision_config" not in config:
        return LoadOptions()
    vision, text = config["vision_config"], config.get("text_config", {})
    activation = vision.get("hidden_act", "quick_gelu")
    if activation not in ("quick_gelu", "gelu"):
        raise ValueError(f"hidden_act is {activation!r}, where quick_gelu or gelu is supported")
    return LoadOptions(activation, vision.get("num_attention_heads", 12), text.get("num_attention_heads", 8))


def known_activation(name: str | None) -> Activation | None:
    """Return the activation of this name, None for None; raises BundleError for an unknown one."""
    found: dict[str | None, Activation | None] = {None: None, "quick_gelu": "quick_gelu", "gelu": "gelu"}
    if name in found:
        return found[name]
    raise BundleError(f"activation: {name!r} given; 'quick_gelu' or 'gelu' is needed")
