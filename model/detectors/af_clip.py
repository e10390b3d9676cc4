"""AF-CLIP: one attention adaptor over neighbourhoods of four taps of the plain tower; two learned prompts.

Source: Fang et al., "AF-CLIP: Zero-Shot Anomaly Detection via Anomaly-Focused CLIP Adaptation", ACM MM 2025,
as its released program computes it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.base import Scores
from s2sw.model.detectors.kinds import Built, DetectorKind, Publication, draft_record
from s2sw.model.detectors.options import BuildOptions, ReferenceNames, References, TapBlocks
from s2sw.model.detectors.references import named_references, remember
from s2sw.model.detectors.tower_detector import TowerDetector, highest, known_blocks, quarters
from s2sw.model.errors import BundleError
from s2sw.model.heads.attention_adaptor import AttentionAdaptor, adaptor_shapes
from s2sw.model.heads.memory import kept_features
from s2sw.model.heads.neighbourhoods import Neighbourhoods
from s2sw.model.heads.similarity import TAU
from s2sw.model.heads.wide_memory import WideMemory
from s2sw.model.precision import Precision
from s2sw.model.towers.text import TextTower
from s2sw.model.towers.tokenizer import tokens as tokens_of
from s2sw.model.weights.clip import ClipWeights
from s2sw.model.weights.pickled_module import read_module
from s2sw.model.weights.released import Part, looks_like
from s2sw.model.weights.tensors import read_saved

SENTENCES = ("without defect.", "with defect.")
"""Normal, anomalous; no class name."""
ALPHA = 0.1
"""Weight of the text beside the memory."""
PICKLED = (
    "clip.adaptor.Adaptor",
    "clip.adaptor.BasicTransformerBlock",
    "clip.adaptor.CrossAttention",
    "torch.nn.modules.normalization.LayerNorm",
    "torch.nn.modules.linear.Linear",
    "torch.nn.modules.container.Sequential",
    "torch.nn.modules.dropout.Dropout",
)
"""The classes that a released adaptor names: it is a whole pickled module."""


class AfClip(TowerDetector):
    """The detector over a loaded bundle, with a memory or without one.

    Family scores: text, and few_shot, the largest distance to the memory, where there is one.
    """

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        self.vectors = tensors["class_vectors"].to(self.device)
        self.around = Neighbourhoods(self.grid, self.device)
        named = {name: tensors[name] for name in adaptor_shapes(record.vision.width)}
        post, dtype = (self.tower.ln_post, self.tower.proj), self.tower.conv1.weight.dtype
        self.adaptor = AttentionAdaptor(named, post, self.vectors, self.around, dtype)
        # a bundle keeps the taps alone: the neighbourhoods follow from them
        kept = [{n: t.to(self.device) for n, t in own.items()} for own in kept_features(tensors)]
        self.memory = WideMemory(kept, self.around, dtype)
        self.published_score = self.published_map = 1 + ALPHA * bool(self.memory)

    def taps(self, x: Tensor) -> list[Tensor]:
        """Return the raw tower outputs (B, N, width) at the taps."""
        return self.tower.plain(self.tower.embed(x), self.tap_blocks)[1]

    def logits(self, tap: Tensor) -> list[Tensor]:
        """Return the logits (B, N, 2), normal and anomalous, of one tap's tokens at each scale."""
        return [cosines / TAU for cosines in self.adaptor.cosines(tap)]

    @override
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        taps = self.taps(x)
        both = torch.stack([one for tap in taps for one in self.logits(tap)]).sum(dim=0)  # not a mean
        share = (both[..., 1] - both[..., 0]).sigmoid()
        text, grid = share[:, 0], share[:, 1:].reshape(-1, self.grid, self.grid)
        if not self.memory:
            return Scores(text, text[:, None], grid)
        near = self.distances(taps, classes).mean(dim=1).reshape(-1, self.grid, self.grid)
        few_shot = highest(near)
        families = torch.stack([text, few_shot], dim=1)
        image, tokens = few_shot + ALPHA * text, near + ALPHA * grid
        return Scores(image / self.published_score, families, tokens / self.published_map)

    def distances(self, taps: Sequence[Tensor], classes: Tensor) -> Tensor:
        """Return the distances to the memory at each tap and scale, 0..1, (B, sets, g * g)."""
        return self.memory.distances([tap[:, 1:] for tap in taps], classes) / 2

    @override
    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the projected class token of the last tap and the raw block outputs at the taps."""
        taps = self.taps(x.to(self.device))
        return self.tower.project(taps[-1][:, 0]), taps


def text_features(tower: TextTower, prompt: Tensor) -> Tensor:
    """Return the raw features (2, C) of both sentences behind learned vectors (n, T). Differentiable.

    The vectors stand before the start token, and the last of the padding is cut off.
    """
    ids = tokens_of(SENTENCES, tower.shape.context)
    ids = ids.to(prompt.device)
    learned = prompt.expand(len(ids), -1, -1)
    embedded = torch.cat([learned, tower.token_embedding(ids)], dim=1)[:, : tower.shape.context]
    features: Tensor = tower(embedded, ids.argmax(dim=-1) + prompt.shape[0])
    return features


class AfClipOptions(BuildOptions):
    """What an AF-CLIP bundle is built from."""

    prompt: Annotated[str | Path, Field(description="the learned vectors, such as `mvtec_prompt.pt`")]
    adaptor: Annotated[str | Path, Field(description="the attention adaptor, such as `mvtec_adaptor.pt`")]
    tap_blocks: TapBlocks = None
    class_name: ReferenceNames = ()
    references: References = None


@torch.inference_mode()
def build(clip: ClipWeights, image_size: int, options: AfClipOptions) -> Built:
    """Compute the class vectors, take over the adaptor and, of normal pictures, keep the taps."""
    layers = clip.vision.layers
    taps = known_blocks(options.tap_blocks or quarters(layers), 1, layers)
    prompt = read_prompt(Path(options.prompt), clip)
    adaptor = read_adaptor(Path(options.adaptor), clip)
    names, references = named_references(options.references, options.class_name)
    vectors = functional.normalize(text_features(clip.text_tower(), prompt), dim=-1)
    settings: dict[str, Any] = {"tap_blocks": taps} | ({"class_names": names} if names else {})
    label = f"{len(prompt)} learned vectors before fixed sentences"
    built = Built({"class_vectors": vectors} | adaptor, settings, ("text",), label)
    if not references:
        return built
    record = draft_record("af_clip", clip, image_size, built)
    detector = AfClip(record, clip.bundled(built.tensors), "cpu", "fp32")
    memory = remember(detector, references, lambda x: dict(enumerate_taps(detector.taps(x))))
    return replace(built, tensors=built.tensors | memory, family_names=("text", "few_shot"))


def enumerate_taps(taps: Sequence[Tensor]) -> list[tuple[str, Tensor]]:
    """Name the patches of taps, without class token, as a bundle keeps them."""
    return [(f"tap_{number}", tap[:, 1:].contiguous()) for number, tap in enumerate(taps)]


def read_prompt(path: Path, clip: ClipWeights) -> Tensor:
    """Read the learned vectors (n, T), saved as one bare tensor (1, n, T). Raises BundleError."""
    found = read_saved(path)
    width, most = clip.text.width, clip.text.context - 5  # beyond it [EOT] of the sentences would be cut off
    if not isinstance(found, Tensor):
        looks = looks_like(found) if isinstance(found, dict) else ""
        raise BundleError(
            f"{path}: holds a {type(found).__name__}, where one tensor (1, n, {width}) is needed{looks}"
        )
    shape = tuple(found.shape)
    if len(shape) != 3 or shape[0] != 1 or not 1 <= shape[1] <= most or shape[2] != width:
        raise BundleError(
            f"{path}: the tensor is {shape}, where (1, n, {width}) with n of 1 to {most} is needed"
        )
    if not found.is_floating_point() or not torch.isfinite(found).all():
        raise BundleError(f"{path}: the tensor has values that are no finite floating-point numbers")
    return found.detach().float()[0]


def read_adaptor(path: Path, clip: ClipWeights) -> dict[str, Tensor]:
    """Read an adaptor by its published names: a pickled module or a state dict. Raises BundleError."""
    found = read_module(path, PICKLED)
    if not isinstance(found, dict):
        raise BundleError(f"{path}: holds a {type(found).__name__}, where an adaptor is needed")
    return Part(str(path), looks_like(found), found).exactly(adaptor_shapes(clip.vision.width))


KIND = DetectorKind(
    build,
    AfClip,
    AfClipOptions,
    Publication(
        name="AF-CLIP (ACM MM 2025)",
        checkpoint="two files, `mvtec_prompt.pt` and `mvtec_adaptor.pt`, or those of `visa`",
        licence="none given",
        trained_on="the test pictures of MVTec AD, or of VisA",
        means="needs no class names; trained on industrial parts and published on medical pictures too; "
        "MVTec AD is licensed for non-commercial use",
    ),
)
