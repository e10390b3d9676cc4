"""What a run shows while it works: counts, rates and the time left."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from s2sw.pipeline.stages.collecting import FinishedObject, no_seconds
from s2sw.schemas.outcomes import Status

log = logging.getLogger(__name__)

TIMELINE_POINTS = 400
PLAIN_SECONDS = 15.0  # a log line that often


@dataclass
class Tally:
    """Counts of one run so far. stage_seconds: of each stage, added up over processes."""

    total: int = 0
    slices: int = 0
    views: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    stage_seconds: dict[str, float] = field(default_factory=no_seconds)

    @property
    def objects(self) -> int:
        """Objects with a terminal status."""
        return self.statuses.total()

    def become_sum(self, tallies: Sequence["Tally"]) -> None:
        """Take the counts of several together, apart from the total."""
        self.slices = sum(one.slices for one in tallies)
        self.views = sum(one.views for one in tallies)
        self.statuses, self.reasons = Counter(), Counter()
        seconds = no_seconds()
        for one in tallies:
            self.statuses.update(one.statuses)
            self.reasons.update(one.reasons)
            for stage, value in one.stage_seconds.items():
                seconds[stage] += value
        self.stage_seconds = seconds

    def add(self, finished: FinishedObject) -> None:
        """Count one object."""
        self.statuses[finished.status] += 1
        self.slices += len(finished.slices)
        self.views += sum(1 + len(row["tiles"]) // 4 for row in finished.slices)
        if finished.reason is not None:
            self.reasons[finished.reason.value] += 1


class Timeline:
    """Samples of the tally; thinned out as a run grows longer, so that their number stays bounded."""

    def __init__(self) -> None:
        self.points: list[tuple[float, int, int]] = []
        self._started = 0.0
        self._interval = 1.0

    def start(self) -> None:
        """Count seconds from now on."""
        self._started = time.monotonic()

    def add(self, objects: int, slices: int) -> None:
        """Take a sample if the last one is old enough."""
        seconds = time.monotonic() - self._started
        if self.points and seconds - self.points[-1][0] < self._interval:
            return
        self.points.append((round(seconds, 1), objects, slices))
        if len(self.points) > TIMELINE_POINTS:
            self.points, self._interval = self.points[::2], 2 * self._interval


class ProgressDisplay:
    """Tells where a run stands: a bar that moves on a terminal, log lines everywhere.

    live: draw the bar on standard error. What it shows is logged either way, at level INFO.
    """

    def __init__(self, tally: Tally, live: bool = False) -> None:
        self._tally = tally
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rates]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._live = Live(self._bar, console=Console(stderr=True)) if live else None
        self._task = self._bar.add_task("starting", total=None, rates="")
        self._started = self._said = time.monotonic()

    def __enter__(self) -> "ProgressDisplay":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def phase(self, text: str) -> None:
        """Say what the run does now."""
        self._bar.update(self._task, description=text)
        log.info("%s", text, extra={"fields": {"event": "phase"}})

    def start_clock(self) -> None:
        """Measure rates from now on."""
        self._started = time.monotonic()
        self._bar.reset(self._task, total=self._tally.total, description="screening", rates="")

    def update(self, partitions: Callable[[], Sequence[Mapping[str, float]]] = list) -> None:
        """Show the tally as it is now. partitions: returns what each has done, as for ``RunSummary``."""
        rates = self._rates()
        self._bar.update(self._task, completed=self._tally.objects, rates=rates)
        now = time.monotonic()
        if now - self._said >= PLAIN_SECONDS:
            self._said = now
            left = self._bar.tasks[0].time_remaining
            end = f", about {left:.0f} s left" if left is not None else ""
            tally = self._tally
            each = partitions()
            fields = {
                "event": "progress", "objects": tally.objects, "total": tally.total, "slices": tally.slices,
                "quarantined": tally.statuses[Status.QUARANTINED], "seconds_left": left,
            } | ({"partitions": [one["finished"] for one in each]} if each else {})  # fmt: skip
            text = f"{tally.objects} of {tally.total} objects, {rates}{_spread(each)}{end}"
            log.info("%s", text, extra={"fields": fields})

    def _rates(self) -> str:
        elapsed = max(time.monotonic() - self._started, 1e-9)
        tally = self._tally
        quarantined = tally.statuses[Status.QUARANTINED]
        return (
            f"{tally.objects / elapsed:.1f} objects/s, {tally.slices} slices "
            f"({tally.slices / elapsed:.1f}/s), {quarantined} quarantined"
        )


def _spread(partitions: Sequence[Mapping[str, float]]) -> str:
    """Return how far the partitions are, from the slowest to the fastest; "" where there are none."""
    shares = [one["finished"] / one["objects"] for one in partitions if one["objects"]]
    if not shares:
        return ""
    again = sum(int(one["writers"]) - 1 for one in partitions)
    lost = f", writers lost: {again}" if again else ""
    return f", {len(shares)} partitions at {min(shares):.0%} to {max(shares):.0%}{lost}"
