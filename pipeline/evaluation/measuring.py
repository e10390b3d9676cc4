"""One detector over one data set, picture by picture: memory does not grow with the pictures' number.

A picture takes the same way as in a screening: decoded, squashed, detected, and its full map rebuilt from the
token map.
"""

import heapq
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from s2sw.connectors.datasets import DataSet, DataSetError, Sample
from s2sw.connectors.datasets.pictures import fit_mask, read_mask, read_picture
from s2sw.model.detectors.contract import Detector
from s2sw.model.metrics import PixelMetrics, image_metrics
from s2sw.pipeline.evaluation.figures import CandidateFacts, ClassResult, Evaluation, Kept, Scored
from s2sw.pipeline.imaging.tiles import views
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.storage import StorageSettings

WORST = 6
READERS = 2
AHEAD = 4  # pictures read before they are needed

Resolution = Literal["model", "picture"]


@dataclass(frozen=True)
class Measuring:
    """How a data set is measured.

    batch: pictures detected at once. resolution: pixels are compared at the detector's input size, as in
    published evaluations, or at each picture's own. shown: worst false alarms and misses that are kept.
    step: called after every picture.
    """

    batch: int = 1
    resolution: Resolution = "model"
    shown: int = WORST
    storage: StorageSettings = field(default_factory=StorageSettings)
    decoding: DecodeSettings = field(default_factory=DecodeSettings)
    step: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class _Read:
    sample: Sample
    place: int
    view: NDArray[np.uint8]
    size: tuple[int, int]
    mask: NDArray[np.bool_] | None
    anomalous: bool


class _Clock:
    """Times the detector, from pixels in the host's memory to scores in it."""

    def __init__(self) -> None:
        self._each: list[float] = []

    @contextmanager
    def running(self, pictures: int) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._each.append((time.perf_counter() - started) / pictures)

    @property
    def seconds(self) -> float | None:
        """The median time of a picture; a first one, which warms up, counts little."""
        return statistics.median(self._each) if self._each else None


class _Worst:
    """The pictures of the highest marks, a few of many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._heap: list[tuple[float, int, Kept]] = []

    def add(self, mark: float, kept: Kept) -> None:
        heapq.heappush(self._heap, (mark, -kept.scored.place, kept))
        if len(self._heap) > self._most:
            heapq.heappop(self._heap)

    def best_first(self) -> list[Kept]:
        return [kept for _, _, kept in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


def measure(detector: Detector, judge: CandidateFacts, data: DataSet, how: Measuring) -> Evaluation:
    """Return the detector's figures on a data set. Raises DataSetError that names the file."""
    places = {sample: place for place, sample in enumerate(data.samples)}
    alarms, misses = _Worst(how.shown), _Worst(how.shown)
    clock = _Clock()
    classes: dict[str, ClassResult] = {}
    everything: list[Scored] = []
    for group, samples in data.groups():
        pixels = PixelMetrics() if has_masks(group, samples) else None
        scored: list[Scored] = []
        for read, score, token_map in _detected(detector, samples, places, how, clock):
            one = Scored(read.place, group, read.sample.name, read.anomalous, score)
            scored.append(one)
            worst = misses if one.anomalous else alarms
            worst.add(-score if one.anomalous else score, Kept(one, token_map))
            if pixels is not None:
                full = detector.full_map(token_map[None], read.size)[0]
                pixels.add(full, read.mask if read.mask is not None else np.zeros(read.size, dtype=bool))
            how.step()
        image = image_metrics(
            np.array([one.score for one in scored], np.float32), np.array([one.anomalous for one in scored])
        )
        classes[group] = ClassResult(image, pixels.compute() if pixels is not None else None)
        everything += scored
    first = alarms.best_first(), misses.best_first()
    return Evaluation(judge, data.name, classes, everything, *first, seconds=clock.seconds)


def has_masks(group: str, samples: list[Sample]) -> bool:
    """Tell whether pixels of a class can be judged. Raises DataSetError where only some masks are there."""
    anomalous = [sample for sample in samples if sample.anomalous is not False]
    without = [sample for sample in anomalous if sample.mask is None]
    if without and len(without) < len(anomalous):
        raise DataSetError(
            f"{group}: {without[0].image} is anomalous and has no mask, where others of its class have; "
            "give all of them or none"
        )
    return bool(anomalous) and not without


def _detected(
    detector: Detector, samples: list[Sample], places: dict[Sample, int], how: Measuring, clock: _Clock
) -> Iterator[tuple[_Read, float, NDArray[np.float32]]]:
    """Yield each picture with its score and its token map."""
    side = detector.image_size
    with ThreadPoolExecutor(READERS, thread_name_prefix="evaluate") as pool:
        waiting: deque[Future[_Read]] = deque()
        rest = iter(samples)
        batch: list[_Read] = []
        while True:
            for sample in rest:
                waiting.append(pool.submit(_read, sample, places[sample], side, how))
                if len(waiting) >= how.batch + AHEAD:
                    break
            if waiting:
                batch.append(waiting.popleft().result())
            if batch and (len(batch) == how.batch or not waiting):
                yield from _scored(detector, batch, clock)
                batch = []
            elif not waiting:
                return


def _read(sample: Sample, place: int, side: int, how: Measuring) -> _Read:
    pixels = read_picture(sample, how.storage, how.decoding)
    view = next(views(pixels, side, []))
    size = (side, side) if how.resolution == "model" else (pixels.shape[0], pixels.shape[1])
    mask = read_mask(sample, how.storage, how.decoding)
    anomalous = sample.anomalous
    if anomalous is None:
        anomalous = mask is not None and bool(mask.any())
    return _Read(sample, place, view, size, None if mask is None else fit_mask(mask, *size), anomalous)


def _class_names(detector: Detector, batch: list[_Read]) -> list[str] | None:
    """Return the class that each picture is judged by: its group, if the bundle has several class names."""
    known = detector.class_names
    if len(known) < 2:
        return None
    for read in batch:
        if read.sample.group not in known:
            raise DataSetError(
                f"{read.sample.image}: its class {read.sample.group!r} is none of the bundle's class names "
                f"({', '.join(known)}); build the bundle with it"
            )
    return [read.sample.group for read in batch]


def _scored(
    detector: Detector, batch: list[_Read], clock: _Clock
) -> Iterator[tuple[_Read, float, NDArray[np.float32]]]:
    with clock.running(len(batch)):
        found = detector.detect(np.stack([read.view for read in batch]), _class_names(detector, batch))
    for read, score, token_map in zip(batch, found.score.tolist(), found.token_map.numpy(), strict=True):
        if not (np.isfinite(score) and np.isfinite(token_map).all()):
            raise DataSetError(
                f"{read.sample.image}: the detector's score is not finite; try precision fp32, or verify the "
                "bundle"
            )
        yield read, score, token_map
