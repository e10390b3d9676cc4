"""AA-CLIP: adapters in the first blocks of both towers, learned projections of four taps, described classes.

Source: Ma et al., "AA-CLIP: Enhancing Zero-Shot Anomaly Detection via Anomaly-Aware CLIP", CVPR 2025, as its
released program computes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from s2sw.model.bundles.record import BundleRecord
from s2sw.model.detectors.base import Scores
from s2sw.model.detectors.kinds import Built, DetectorKind, Publication
from s2sw.model.detectors.options import BuildOptions, ClassNames, Flag, TapBlocks
from s2sw.model.detectors.tower_detector import TowerDetector, highest, taps_of
from s2sw.model.errors import BundleError
from s2sw.model.heads.adapters import turned
from s2sw.model.maps import MapLayer, gaussian
from s2sw.model.precision import Precision
from s2sw.model.prompts.class_prompts import AA_CLIP, class_vectors
from s2sw.model.towers.blocks import Hooks
from s2sw.model.towers.shapes import TextShape
from s2sw.model.towers.text import TextTower
from s2sw.model.weights.clip import ClipWeights
from s2sw.model.weights.released import read_parts

DESCRIPTIONS = {
    "bottle": "dark bottle",
    "cable": "top view of three cables",
    "capsule": "black and orange capsule",
    "carpet": "gray carpet",
    "grid": "metal or plastic mesh",
    "hazelnut": "single brown hazelnut",
    "leather": "brown leather",
    "metal_nut": "metal nut which has four notched edges",
    "pill": "oval white pill with small red speckles and the letters 'FF' engraved",
    "screw": "screw",
    "tile": "speckled tile surface",
    "transistor": "a three-legged transistor placed vertically",
    "toothbrush": "toothbrush head",
    "wood": "wood surface",
    "zipper": "a black zipper",
    "Brain": "scan",
    "Liver": "scan",
    "Retina": "scan",
    "colon": "colon endoscopy image",
}
"""Published descriptions of MVTec AD's and medical classes; any other class name describes itself."""

LOGIT_SCALE = 100.0
BLUR = {"industrial": (3, 1.0), "medical": (4, 1.5)}
"""Radius and sigma, in patches, of the Gaussian over the grid."""
FAMILIES = ("det", "map_max")


class AaClip(TowerDetector):
    """The detector over a loaded bundle.

    Family scores: det, 0..1, and map_max, the maximum of the raw map, of any sign. The published program
    scales both by their lowest and highest values over a test set; here the map is shown as
    sigmoid(map / 2 - 1).
    """

    positions = "bicubic"
    smooth = False
    corners = True

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, tensors, device, precision)
        given = record.settings
        self.vectors = tensors["class_vectors"].to(self.device)
        adapters = tensors["layer_adapters"].to(self.device, self.tower.conv1.weight.dtype)
        self.hooks = hooks(adapters, given["image_adapt_weight"])
        self.seg, self.det = (tensors[f"{name}_proj"].to(adapters) for name in ("seg", "det"))
        self.relu: bool = given["relu"]
        self.domain: str = given["domain"]
        radius, sigma = BLUR[self.domain]
        blur = gaussian(record.grid, sigma, radius, "mirror")
        self.blur = torch.tensor(blur, dtype=torch.float32, device=self.device)

    @property
    @override
    def map_layers(self) -> tuple[MapLayer, ...]:
        return (MapLayer(self.grid, self.image_size, smooth=False, corners=True, logit=True),)

    def taps(self, x: Tensor) -> list[Tensor]:
        """Return the tower's outputs (B, N, width) at the taps, its first blocks adapted."""
        return self.tower.plain(self.tower.embed(x), self.tap_blocks, self.hooks)[1]

    def features(self, taps: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Return each tap's patches (B, g * g, C), normalised, and the image feature (B, C), which is not."""
        patches = [self.tower.ln_post(tap[:, 1:].float()) for tap in taps]
        seg = [self._projected(p, weight) for p, weight in zip(patches, self.seg, strict=True)]
        return seg, self._projected(patches[-1], self.det).mean(dim=1)

    def _projected(self, tokens: Tensor, weight: Tensor) -> Tensor:
        out = (tokens.to(weight.dtype) @ weight.T).float()
        return functional.normalize(functional.leaky_relu(out) if self.relu else out, dim=-1)

    @override
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        seg, feature = self.features(self.taps(x))
        vectors = self.vectors[classes]
        det = (torch.einsum("bc,bc->b", feature, vectors[:, 1]) + 1) / 2
        grid = torch.stack([self.level_map(patches, vectors) for patches in seg]).sum(dim=0)
        blurred = self.blur @ grid @ self.blur.T
        map_max = highest(self.upsampled(blurred, corners=True))
        shown = (map_max / 2 - 1).sigmoid()
        image = shown if self.domain == "medical" else (shown + det) / 2
        return Scores(image, torch.stack([det, map_max], dim=1), blurred / 2 - 1)

    def level_map(self, patches: Tensor, vectors: Tensor) -> Tensor:
        """Return a level's map (B, g, g), raw and not blurred, of its patches (B, g * g, C)."""
        normal, anomalous = (LOGIT_SCALE * patches @ vectors.mT).unbind(dim=-1)
        return ((anomalous + 1 - normal) / 2).reshape(-1, self.grid, self.grid)

    @override
    def raw(self, x: Tensor, class_names: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
        """Return the det score, 0..1, and the sum of the levels' maps, of any sign."""
        found = self.detect_normalized(x, class_names)
        return found.family_scores[:, 0].clone(), self.upsampled(2 * (found.token_map + 1), corners=True)

    @override
    @torch.inference_mode()
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the image feature (B, C) and the block outputs (B, N, width) at the taps."""
        taps = self.taps(x.to(self.device))
        return self.features(taps)[1], taps


def hooks(adapters: Sequence[Tensor] | Tensor, share: float) -> Hooks:
    """Return what turns the outputs of the first blocks towards their adapters, each (W, W)."""
    return {number: partial(turned, weight=weight, share=share) for number, weight in enumerate(adapters, 1)}


@dataclass(frozen=True)
class AdaptedText:
    """CLIP's text tower with adapters in its first blocks and a projection (C, width) of its own."""

    tower: TextTower
    adapters: Sequence[Tensor]
    projection: Tensor
    share: float

    @property
    def shape(self) -> TextShape:
        """The tower's shape."""
        return self.tower.shape

    def encode_tokens(self, ids: Tensor) -> Tensor:
        """Return features (P, C) of token ids (P, context)."""
        embedded, end = self.tower.token_embedding(ids), ids.argmax(dim=-1)
        last = self.tower.last(embedded, end, hooks=hooks(self.adapters, self.share))
        return functional.leaky_relu(last @ self.projection.T)


def _pairs(given: Sequence[str]) -> dict[str, str]:
    for text in given:
        if not all(part.strip() for part in text.partition("=")):
            raise BundleError(f"descriptions: {text!r} given; NAME=TEXT is needed")
    return dict(text.split("=", 1) for text in given)


class AaClipOptions(BuildOptions):
    """What an AA-CLIP bundle is built from."""

    class_name: ClassNames
    image_adapter: Annotated[
        str | Path, Field(description="the image adapter's checkpoint, such as `image_adapter_20.pth`")
    ]
    text_adapter: Annotated[
        str | Path | None,
        Field(
            description="the text adapter's checkpoint, `text_adapter.pth`; by default CLIP's own text tower"
        ),
    ] = None
    domain: Literal["industrial", "medical"] = Field(
        "industrial", description="`industrial` or `medical`: sets the map's blur and the image score"
    )
    descriptions: Annotated[
        Mapping[str, str] | None,
        Flag("description", list[str], _pairs),
        Field(
            description="what a class looks like, for classes that the published table lacks or describes "
            "differently; on the command line `NAME=TEXT`, once for each"
        ),
    ] = None
    image_adapt_weight: float = Field(
        0.1, description="the weight of the image adapters, as in training", ge=0, le=1
    )
    text_adapt_weight: float = Field(
        0.1, description="the weight of the text adapters, as in training", ge=0, le=1
    )
    tap_blocks: TapBlocks = None


def build(clip: ClipWeights, image_size: int, options: AaClipOptions) -> Built:
    """Compute the class vectors by the adapted text tower, and take over the image adapters."""
    names = options.class_name
    tensors, relu = read_image_adapter(Path(options.image_adapter), clip)
    taps = taps_of(options.tap_blocks, len(tensors["seg_proj"]), 1, clip.vision.layers)
    radius, _ = BLUR[options.domain]
    if image_size // clip.vision.patch <= radius:
        raise BundleError(
            f"image_size: {image_size} has less than {radius + 1} patches of {clip.vision.patch} px a side, "
            f"which the {options.domain} blur needs"
        )
    table = DESCRIPTIONS | dict(options.descriptions or {})
    text = _text(clip, options)
    vectors = class_vectors(text, [table.get(name, name) for name in names], AA_CLIP)
    settings = {
        "class_names": names,
        "domain": options.domain,
        "tap_blocks": taps,
        "relu": relu,
        "image_adapt_weight": options.image_adapt_weight,
    }
    label = f"descriptions of classes, {'an adapted' if options.text_adapter else 'a plain'} text tower"
    return Built({"class_vectors": vectors} | tensors, settings, FAMILIES, label)


def _text(clip: ClipWeights, options: AaClipOptions) -> TextTower | AdaptedText:
    tower = clip.text_tower()
    if options.text_adapter is None:
        return tower
    *adapters, projection = read_text_adapter(Path(options.text_adapter), clip)
    return AdaptedText(tower, adapters, projection, options.text_adapt_weight)


def read_image_adapter(path: Path, clip: ClipWeights) -> tuple[dict[str, Tensor], bool]:
    """Read an image adapter as a bundle names it, and whether LeakyReLU follows its projections."""
    part = read_parts(path, "aa_clip", ("image_adapter",), ("epoch", "image_optimizer"))["image_adapter"]
    relu = "det_proj.fc.0.weight" in part.tensors  # the key names tell
    fc = "fc.0" if relu else "fc"
    joint, width, layers = clip.vision.embed_dim, clip.vision.width, clip.vision.layers
    blocks, levels = (
        part.count(f"{name}.", end)
        for name, end in (("layer_adapters", ".fc.0.weight"), ("seg_proj", f".{fc}.weight"))
    )
    if blocks > layers:
        part.refuse(f"layer_adapters.{layers}.fc.0.weight", f"belongs to no block: this tower has {layers}")
    shapes = {f"layer_adapters.{n}.fc.0.weight": (width, width) for n in range(blocks)}
    shapes |= {f"seg_proj.{k}.{fc}.weight": (joint, width) for k in range(levels)}
    shapes |= {f"det_proj.{fc}.weight": (joint, width)}
    found = part.exactly(shapes)
    tensors = {
        "layer_adapters": torch.stack([found[f"layer_adapters.{n}.fc.0.weight"] for n in range(blocks)]),
        "seg_proj": torch.stack([found[f"seg_proj.{k}.{fc}.weight"] for k in range(levels)]),
        "det_proj": found[f"det_proj.{fc}.weight"],
    }
    return tensors, relu


def read_text_adapter(path: Path, clip: ClipWeights) -> list[Tensor]:
    """Read a text adapter: the adapters of the first blocks, and last the projection."""
    part = read_parts(path, "aa_clip", ("text_adapter",), ("epoch", "text_optimizer"))["text_adapter"]
    width, joint, layers = clip.text.width, clip.text.embed_dim, clip.text.layers
    last = part.count("", ".fc.0.weight") - 1
    if last > layers:
        part.refuse(f"{layers}.fc.0.weight", f"belongs to no block: this tower has {layers}")
    shapes = {f"{n}.fc.0.weight": (width, width) for n in range(last)} | {
        f"{last}.fc.0.weight": (joint, width)
    }
    found = part.exactly(shapes)
    return [found[f"{n}.fc.0.weight"] for n in range(last + 1)]


KIND = DetectorKind(
    build,
    AaClip,
    AaClipOptions,
    Publication(
        name="AA-CLIP (CVPR 2025)",
        checkpoint="`image_adapter_N.pth` and `text_adapter.pth`",
        licence="Apache-2.0",
        trained_on="the test pictures of VisA, or of MVTec AD",
        means="needs a description of each class; trained on industrial parts, published on medical pictures "
        "too (`domain`); MVTec AD is licensed for non-commercial use",
    ),
)
