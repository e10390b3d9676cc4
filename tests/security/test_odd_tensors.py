"""Checkpoints whose tensors are not what their names promise are refused in one line, whatever is wrong."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from s2sw.model import build_bundle
from s2sw.model.errors import BundleError
from s2sw.model.weights.clip import read_clip
from s2sw.model.weights.dinov2 import read_dinov2
from tests.model.weights.test_dinov2 import huggingface, loaded, network, original
from tests.support import checkpoints, family, small_clip

CHANGES = 24
HUGE = "99999999"
"""A number of a block that would take a machine's memory if the network were as deep."""

Part = dict[str, Any]
Build = Callable[[Path, Path], object]


def odd(tensor: Tensor, draw: random.Random) -> Any:
    """Return something else than this tensor under its name."""
    return draw.choice(
        (
            lambda: tensor[:0] if tensor.ndim else tensor[None],
            lambda: tensor.reshape(0) if not tensor.numel() else torch.empty(0),
            lambda: tensor[None],
            lambda: tensor[..., None],
            lambda: tensor.flatten(),
            lambda: tensor.double().sum(),
            lambda: torch.cat([tensor[None], tensor[None]]).flatten(0, 1) if tensor.ndim else tensor,
            lambda: tensor.mT.contiguous() if tensor.ndim > 1 else tensor[None, None],
            lambda: tensor.to(torch.int64),
            lambda: tensor.to(torch.bool),
            lambda: torch.full_like(tensor.float(), torch.nan),
            lambda: torch.full_like(tensor.float(), torch.inf),
            lambda: torch.zeros(1).expand(1 << 20, 1 << 20),
            lambda: "a text",
            lambda: 3,
            lambda: None,
            list,
            dict,
        )
    )()


def change(part: Part, draw: random.Random) -> None:
    """Damage one entry of a flat dict of tensors."""
    name = draw.choice(sorted(name for name, value in part.items() if isinstance(value, Tensor)))
    match draw.randrange(8):
        case 0:
            del part[name]
        case 1:
            part[draw.choice((7, None, ("a", 1), b"bytes"))] = part[name]
        case 2:
            part[name + draw.choice((".more", "\n", "\x1b[31m", ".weight", "x" * 5000))] = part[name]
        case 3:
            part[".".join(HUGE if piece.isdigit() else piece for piece in name.split("."))] = part[name]
        case 4:
            part[".".join("-1" if piece.isdigit() else piece for piece in name.split("."))] = part.pop(name)
        case _:
            part[name] = odd(part[name], draw)


def parts_of(found: Part) -> list[Part]:
    """Return the dicts of tensors in a checkpoint, itself among them where it is one."""
    inner = [value for value in found.values() if isinstance(value, dict)]
    here = any(isinstance(value, Tensor) for value in found.values())
    return ([found] if here else []) + [part for value in inner for part in parts_of(value)]


def towers(path: Path, _: Path) -> None:
    """Load both towers of a CLIP."""
    clip = read_clip(path)
    clip.vision_tower()
    clip.text_tower()


def dinov2(path: Path, _: Path) -> None:
    """Read the weights and load the network."""
    loaded(read_dinov2(path))


def built(detector: str, name: str, **options: Any) -> Build:
    """Return what builds a bundle of a detector from a checkpoint that its option of that name takes."""

    def build(path: Path, folder: Path) -> object:
        given = {"image_size": family.SIDE} | options | {name: path}
        return build_bundle(folder / "bundle", family.clip(), detector=detector, **given)

    return build


def cases(folder: Path) -> dict[str, tuple[Part, Build]]:
    """Return sound checkpoints by what reads them."""
    of = family.clip()
    prompt = checkpoints.saved(checkpoints.af_clip_prompt(of), folder / "prompt.pt")
    image = checkpoints.saved(checkpoints.aa_clip_image(of), folder / "image.pth")
    words = {"class_name": family.CLASSES}
    return {
        "clip": (small_clip.state_dict(), towers),
        "clip, Hugging Face": (
            small_clip.huggingface(small_clip.state_dict()), towers
        ),
        "dinov2": (original(network(0).state_dict()), dinov2),
        "dinov2, registers": (original(network(4).state_dict()), dinov2),
        "dinov2, Hugging Face": (huggingface(network(0).state_dict()), dinov2),
        "dinov2, bundle": (
            original(network(0).state_dict()),
            lambda path, at: build_bundle(at / "bundle", detector="dino", stem=path, image_size=70),
        ),
        "adaptclip": (checkpoints.adaptclip(of), built("adaptclip", "checkpoint")),
        "mvfa": (checkpoints.mvfa(of), built("mvfa", "checkpoint", image_size=40, **words)),
        "af_clip": (checkpoints.af_clip_adaptor(of), built("af_clip", "adaptor", prompt=prompt)),
        "aa_clip, image": (checkpoints.aa_clip_image(of), built("aa_clip", "image_adapter", **words)),
        "aa_clip, text": (
            checkpoints.aa_clip_text(of), built("aa_clip", "text_adapter", image_adapter=image, **words)
        ),
    }  # fmt: skip


def refusal(build: Build, path: Path, folder: Path) -> str:
    """Return what is said of a checkpoint that is not taken; anything but BundleError goes through."""
    try:
        build(path, folder)
    except BundleError as error:
        return str(error)
    return ""


NAMES = (
    "clip", "clip, Hugging Face", "dinov2", "dinov2, registers", "dinov2, Hugging Face", "dinov2, bundle",
    "adaptclip", "mvfa", "af_clip", "aa_clip, image", "aa_clip, text",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_odd_tensors_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    draw = random.Random(name)
    sound, build = cases(tmp_path)[name]
    path = tmp_path / "changed.pt"
    torch.save(sound, path)
    build(path, tmp_path)  # as it is, it is taken
    refused = 0
    for number in range(CHANGES):
        found = torch.load(path, weights_only=True)
        change(draw.choice(parts_of(found)), draw)
        torch.save(found, tmp_path / "odd.pt")
        said = refusal(build, tmp_path / "odd.pt", tmp_path / str(number))
        assert said.isprintable(), number
        assert len(said) < 1000, number
        refused += said != ""
    assert refused > CHANGES / 3
