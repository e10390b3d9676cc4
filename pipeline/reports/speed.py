"""How fast a run was: by stage, and over time."""

import itertools
from dataclasses import dataclass

from s2sw.schemas.run_record import RunSummary

SPANS = 60


@dataclass(frozen=True)
class Stage:
    """A stage's work: seconds (added up over processes, or of the clock), and what was done in them."""

    name: str
    seconds: float
    count: int
    unit: str

    @property
    def rate(self) -> float:
        """Count per second."""
        return self.count / self.seconds if self.seconds else 0.0


def stages(summary: RunSummary) -> list[Stage]:
    """Return the rates of a run's stages, each of a single process, and of the whole run."""
    seconds = summary.stage_seconds
    rows = [
        Stage("fetch and decode, one process", seconds.get("decode", 0.0), summary.slices, "slices"),
        Stage("detect, one process", seconds.get("detect", 0.0), summary.views, "views"),
        Stage("the whole run", summary.seconds.get("screen", 0.0), summary.slices, "slices"),
    ]
    return [row for row in rows if row.seconds]


@dataclass(frozen=True)
class Span:
    """Rates between two moments, in seconds since screening began."""

    start: float
    end: float
    objects_per_second: float
    slices_per_second: float


def spans(timeline: list[tuple[float, int, int]], most: int = SPANS) -> list[Span]:
    """Return the rates over a run's timeline in at most so many spans."""
    points = [(0.0, 0, 0), *timeline]
    step = max(1, -(-len(timeline) // most))
    kept = points[::step]
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    found = []
    for (start, objects, slices), (end, more_objects, more_slices) in itertools.pairwise(kept):
        if end > start:
            length = end - start
            found.append(Span(start, end, (more_objects - objects) / length, (more_slices - slices) / length))
    return found
