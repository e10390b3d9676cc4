"""The detect stage as others start it. It imports torch only then: a driver has no use for it."""

from collections.abc import Callable

import pyarrow as pa

from s2sw.pipeline.privacy.environment import enter_worker
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.schemas.storage import StorageSettings


def detect_stage(settings: DetectSettings) -> Callable[[pa.Table], pa.Table]:
    """Return the stage that scores, or the one that samples, with its detector loaded."""
    # here: they import torch, which takes seconds
    from s2sw.pipeline.stages.detecting import DetectStage
    from s2sw.pipeline.stages.sampling import SampleStage

    return SampleStage(settings) if settings.sampling else DetectStage(settings)


class DetectActor:
    """The stage in a process of Ray's, which others started."""

    def __init__(self, settings: DetectSettings) -> None:
        enter_worker(StorageSettings(), settings.private)
        self._stage = detect_stage(settings)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Score a table of decoded slices."""
        return self._stage(table)
