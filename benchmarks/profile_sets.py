"""Sets of real pictures, as the detector sees them, that archives are drawn from."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from s2sw.connectors.decode import decode
from s2sw.pipeline.imaging.tiles import in_colour, shrunk
from s2sw.schemas.decoding import DecodeSettings

ELPV = {0.0: 200, 1.0: 67}
"""Solar cells with these probabilities of a defect that are taken."""
Pixels = NDArray[np.uint8]


class Labelled(NamedTuple):
    """A picture as the detector sees it, and what is known of it. mask: bool (side, side)."""

    pixels: Pixels
    anomalous: bool
    mask: NDArray[np.bool_]
    name: str


@dataclass(frozen=True)
class Picture:
    """A file of a set. mask: of an anomalous one, where there are masks."""

    path: Path
    anomalous: bool
    mask: Path | None = None

    def seen(self, side: int) -> Labelled:
        """Return it at the detector's side."""
        _, slices = decode(self.path.read_bytes(), DecodeSettings())
        pixels = next(iter(slices)).pixels
        small = in_colour([next(iter(shrunk(pixels, side, [])))[None]])[0]
        mask = np.zeros((side, side), bool)
        if self.mask:
            whole = Image.open(self.mask).convert("L").resize((side, side), Image.Resampling.BOX)
            mask = np.asarray(whole) > 127
        return Labelled(small, self.anomalous, mask, self.path.name)


def folder_set(folder: Path) -> Iterator[Picture]:
    """Yield the pictures of an MVTec-style folder."""
    for path in sorted((folder / "test").rglob("*.*")):
        kind = path.parent.name
        mask = folder / "ground_truth" / kind / f"{path.stem}_mask.png"
        yield Picture(path, kind != "good", mask if mask.exists() else None)


def elpv() -> Iterator[Picture]:
    """Yield solar cells that their raters agree on."""
    import elpv_dataset

    root = Path(elpv_dataset.__file__).parent / "data"
    lines = [line.split() for line in (root / "labels.csv").read_text().splitlines() if line.strip()]
    for probability, count in ELPV.items():
        own = [root / line[0] for line in lines if float(line[1]) == probability]
        for row in np.random.default_rng(0).permutation(len(own))[:count]:
            yield Picture(own[row], probability == 1)
