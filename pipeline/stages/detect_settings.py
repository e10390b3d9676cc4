"""What the detect stage needs to know. Apart from the stage, which imports torch."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from s2sw.pipeline.privacy.environment import go_offline
from s2sw.pipeline.profile.place import ProfilePlace
from s2sw.pipeline.stages.bundles import RemoteBundle, fetched
from s2sw.schemas.errors import UserError

if TYPE_CHECKING:  # they import torch
    from s2sw.model.detectors.contract import Detector
    from s2sw.model.precision import Precision
    from s2sw.model.towers.attention import Way


def load(
    bundle: Path | RemoteBundle, device: str, precision: "Precision", attention: "Way" = "fused"
) -> "Detector":
    """Load a bundle's detector, in the process that runs it: it imports torch.

    Raises UserError where this machine has no products for the precision, which rows are said to have.
    """
    import torch

    from s2sw.model import load_detector
    from s2sw.model.precision import multiplies
    from s2sw.model.towers.attention import use

    use(attention)

    if isinstance(bundle, RemoteBundle):
        go_offline(bundle.storage)  # an actor was told of no storage
        bundle = fetched(bundle)
    if not multiplies(precision, torch.device(device)):
        raise UserError(f"precision: {precision} is not multiplied by a machine's CPU or torch; use fp32")
    return load_detector(bundle, device, precision)


@dataclass(frozen=True)
class DetectSettings:
    """What an actor needs to know.

    load: makes the detector, in the actor. batch_size counts views: whole slices and tiles alike. threads:
    torch threads on a CPU; None leaves torch's own choice. mask_threads: masks made at once. deadline:
    seconds since the epoch after which slices are deferred instead of scored: minutes of work may lie decoded
    before a slow detector. private: no text of an error gets out. profile: what slices are ranked by.
    sampling: give what a profile is built from (schema SAMPLED) instead of results. zero_shot_map: keep it
    beside the one that a profile combined.
    """

    load: Callable[[], "Detector"]
    threshold: float
    batch_size: int
    threads: int | None = None
    mask_threads: int = 1
    deadline: float | None = None
    private: bool = False
    profile: ProfilePlace | None = None
    sampling: bool = False
    zero_shot_map: bool = False
