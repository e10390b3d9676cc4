"""What a bundle's record may say for its detector: every name, and the bounds of every number.

Whoever made a bundle may have written any settings; they are compared with these before anything is made.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from s2sw.model.towers.shapes import BLOCKS, Registers

MEMBERS = 16
"""Of an ensemble."""
CLASSES = 4096
CHARACTERS = 1000
"""Of a text, such as a class name."""

Text = Annotated[str, Field(max_length=CHARACTERS)]
Names = Annotated[tuple[Text, ...], Field(max_length=CLASSES)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Block = Annotated[int, Field(ge=1, le=BLOCKS, strict=True)]
Blocks = Annotated[tuple[Block, ...], Field(min_length=1, max_length=BLOCKS)]
Switch = Annotated[bool, Field(strict=True)]
Raw = Annotated[float, Field(ge=-1e6, le=1e6, strict=True)]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Member(_Closed):
    """One bundle of an ensemble. tower: the member that holds its tower. record: see ``member_record``."""

    weight: Annotated[float, Field(gt=0, le=1, strict=True)]
    tower: Annotated[int, Field(ge=0, lt=MEMBERS, strict=True)]
    record: dict[str, Any]


class Settings(_Closed):
    """The settings of all detectors; each uses some of them. Blocks count from 1."""

    two_stream_from: Block = 1
    tap_blocks: Blocks = (1,)
    taps: Literal["released", "per_layer"] | Blocks = "released"
    mix: tuple[Share, Share] = (1.0, 0.0)
    class_names: Names = ()
    maps: Literal["exact", "compact"] = "compact"
    calibration: tuple[Raw, Raw] = (0.0, 1.0)
    context: Switch = False
    head: Literal["seg", "det"] = "seg"
    relu: Switch = False
    domain: Literal["industrial", "medical"] = "industrial"
    image_adapt_weight: Share = 0.0
    rarity_weight: Share = 0.0
    registers: Annotated[Registers, Field(strict=True)] = 0
    members: Annotated[tuple[Member, ...], Field(max_length=MEMBERS)] = ()

    def deepest(self) -> int:
        """Return the last block that is named."""
        taps = () if isinstance(self.taps, str) else self.taps
        return max(self.two_stream_from, *self.tap_blocks, *taps)
