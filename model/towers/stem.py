"""A small convolutional stem that makes patches for the visual tower: inverted residuals without attention.

Source: EfficientNet-lite (MobileNetV2's blocks with ReLU6), batch norms folded into the convolutions. A
tower with a stem embeds what the stem saw instead of bare pixels; everything after that is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from s2sw.model.errors import BundleError
from s2sw.model.precision import exact_convolutions
from s2sw.model.towers.self_similarity import unlike, unlike_numbers

SPREAD = 0.1
"""Added to a channel's deviation within a picture, in units of its usual one: flat stays flat."""


@dataclass(frozen=True, slots=True)
class StemBlock:
    """One inverted residual: channels inside (0: as they come), depthwise kernel, channels out."""

    expanded: int
    kernel: int
    channels: int


@dataclass(frozen=True, slots=True)
class StemShape:
    """channels of the first convolution, and the blocks of each level; every level halves the resolution."""

    channels: int
    levels: tuple[tuple[StemBlock, ...], ...]

    @property
    def stride(self) -> int:
        """Pixels a side that become one patch."""
        return int(2 ** len(self.levels))

    @property
    def groups(self) -> tuple[int, ...]:
        """Numbers that each level says of a patch: mean, maximum and minimum, of the last one itself."""
        *finer, last = (level[-1].channels for level in self.levels)
        return (*(3 * channels for channels in finer), last)

    @property
    def features(self) -> int:
        """Numbers that all levels say of a patch."""
        return sum(self.groups)

    @property
    def described(self) -> int:
        """Numbers that reach the tower for a patch, see describe."""
        return 2 * self.features + unlike_numbers(len(self.groups))


def stem_shape(tensors: Mapping[str, Tensor], prefix: str, source: str) -> StemShape | None:
    """Read a stem's shape off a state dict, None where there is none; a cut one raises BundleError."""
    own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    if not own:
        return None
    try:
        levels: list[tuple[StemBlock, ...]] = []
        while f"levels.{len(levels)}.0.project.weight" in own:
            at, blocks = f"levels.{len(levels)}.", list[StemBlock]()
            while f"{at}{len(blocks)}.project.weight" in own:
                blocks.append(_block_shape(own, f"{at}{len(blocks)}."))
            levels.append(tuple(blocks))
        return StemShape(own["first.weight"].shape[0], tuple(levels))
    except KeyError as error:
        missing = prefix + str(error.args[0])
        raise BundleError(f"{source}: tensor {missing!r} is missing; the stem is cut") from None


def _block_shape(own: Mapping[str, Tensor], at: str) -> StemBlock:
    expanded = own[f"{at}expand.weight"].shape[0] if f"{at}expand.weight" in own else 0
    kernel = own[f"{at}depthwise.weight"].shape[-1]
    return StemBlock(expanded, kernel, own[f"{at}project.weight"].shape[0])


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to the input where the shape stays."""

    def __init__(self, channels: int, shape: StemBlock, stride: int) -> None:
        super().__init__()
        inside = shape.expanded or channels
        self.expand = nn.Conv2d(channels, inside, 1) if shape.expanded else None
        around = shape.kernel // 2 if stride == 1 else 0
        self.depthwise = nn.Conv2d(inside, inside, shape.kernel, stride, around, groups=inside)
        self.project = nn.Conv2d(inside, shape.channels, 1)
        self.residual = stride == 1 and channels == shape.channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, rows, cols) to (B, channels out, rows / stride, cols / stride)."""
        inside = _relu6(self.expand(x)) if self.expand is not None else x
        out: Tensor = self.project(_relu6(self.depthwise(pad_same(inside, self.depthwise))))
        return x + out if self.residual else out


def pad_same(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Pad with zeros where a convolution halves an even side, as TensorFlow's SAME does.

    The extra row and column come last; at stride 1 the convolution pads itself.
    """
    if conv.stride[0] == 1:
        return x
    lack = conv.kernel_size[0] - conv.stride[0]
    return functional.pad(x, (lack // 2, lack - lack // 2) * 2)


def _relu6(x: Tensor) -> Tensor:
    return functional.relu6(x, inplace=not torch.is_grad_enabled())


class Stem(nn.Module):
    """Pictures to patch features, each channel shifted and scaled to its usual range."""

    def __init__(self, shape: StemShape) -> None:
        super().__init__()
        self.shape = shape
        self.first = nn.Conv2d(3, shape.channels, 3, stride=2)
        self.levels = nn.ModuleList()
        channels = shape.channels
        for number, blocks in enumerate(shape.levels):
            level = nn.ModuleList()
            for place, block in enumerate(blocks):
                level.append(InvertedResidual(channels, block, 2 if place == 0 and number > 0 else 1))
                channels = block.channels
            self.levels.append(level)
        self.mean = nn.Parameter(torch.zeros(shape.features))
        self.scale = nn.Parameter(torch.ones(shape.features))

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, S, S) to patches (B, g * g, described), see describe."""
        return describe(self.features(images), self.shape.groups)

    def features(self, images: Tensor) -> Tensor:
        """Map normalised images (B, 3, S, S) to patch features (B, g * g, features)."""
        with exact_convolutions():
            maps = self._maps(images)
        grid = maps[-1].shape[-1]
        parts = []
        for finer in maps[:-1]:
            cell = finer.shape[-1] // grid
            parts.append(functional.avg_pool2d(finer, cell))
            parts.append(functional.max_pool2d(finer, cell))
            parts.append(-functional.max_pool2d(-finer, cell))
        patches = torch.cat([*parts, maps[-1]], dim=1).flatten(2).transpose(1, 2)
        return (patches - self.mean) * self.scale

    def _maps(self, images: Tensor) -> list[Tensor]:
        x = images.contiguous(memory_format=torch.channels_last)
        x = _relu6(self.first(pad_same(x, self.first)))
        maps = []
        for level in self.levels:
            for block in level:  # type: ignore[attr-defined]
                x = block(x)
            maps.append(x)
        return maps


def describe(features: Tensor, groups: tuple[int, ...]) -> Tensor:
    """Return features (B, N, K), the same relative to the picture, and how unlike the rest of it they are."""
    apart = unlike(features, groups).to(features.dtype)
    return torch.cat([features, relative(features), apart], dim=-1)


def relative(features: Tensor) -> Tensor:
    """Return features (B, N, K) less their picture's mean over patches, divided by its deviation.

    What stands out in a picture is then large whatever the picture shows.
    """
    wide = features.float()
    deviation, mean = torch.std_mean(wide, dim=1, keepdim=True, correction=0)
    return ((wide - mean) / (deviation + SPREAD)).to(features.dtype)
