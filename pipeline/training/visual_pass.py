"""The one visual pass: every picture of a data set through the frozen tower, into files of features."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from s2sw.connectors.datasets import DataSet, DataSetError, Sample
from s2sw.connectors.datasets.pictures import decode_picture, fit_mask, read_bytes, read_mask
from s2sw.model.training.data import Item, packed
from s2sw.model.training.store import FeatureStore
from s2sw.model.training.visual import Features, FrozenTower
from s2sw.pipeline.imaging.tiles import views
from s2sw.schemas.decoding import DECODE_VERSION, DecodeSettings
from s2sw.schemas.storage import StorageSettings

READERS = 2


@dataclass(frozen=True)
class Reading:
    """How pictures are read. step: called after every picture."""

    batch: int = 1
    storage: StorageSettings = field(default_factory=StorageSettings)
    decoding: DecodeSettings = field(default_factory=DecodeSettings)
    step: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class _Read:
    item: Item
    view: NDArray[np.uint8] | None
    """uint8 (S, S, 3); None where the features are there already."""


def visual_pass(data: DataSet, tower: FrozenTower, store: FeatureStore, how: Reading) -> list[Item]:
    """Return the items to train on; their features are in the store then.

    A picture's features are named by its bytes, the weights and the size: a pass that was killed goes on, and
    another training on the same pictures starts at once. Raises DataSetError that names the file.
    """
    _check_masks(data)
    items: list[Item] = []
    waiting: list[_Read] = []
    for read in _ahead(data.samples, tower, store, how):
        items.append(read.item)
        if read.view is not None:
            waiting.append(read)
        if len(waiting) == how.batch:
            _encode(waiting, tower, store)
            waiting = []
        how.step()
    if waiting:
        _encode(waiting, tower, store)
    return items


def _check_masks(data: DataSet) -> None:
    for sample in data.samples:
        if sample.anomalous and sample.mask is None:
            raise DataSetError(
                f"{sample.image}: is anomalous and has no mask; training needs one for each such picture"
            )
    if all(sample.anomalous is False for sample in data.samples):
        raise DataSetError(f"{data.name}: every picture is normal; training needs anomalous ones with masks")


def _ahead(samples: list[Sample], tower: FrozenTower, store: FeatureStore, how: Reading) -> Iterator[_Read]:
    """Read pictures in threads, some ahead of the tower."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="training") as pool:
        waiting: deque[Future[_Read]] = deque()
        for sample in samples:
            waiting.append(pool.submit(_read, sample, tower, store, how))
            if len(waiting) > how.batch + READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read(sample: Sample, tower: FrozenTower, store: FeatureStore, how: Reading) -> _Read:
    data = read_bytes(sample.image, how.storage, how.decoding)
    pixels_by = f"{DECODE_VERSION} {how.decoding.model_dump_json()}"
    digest = hashlib.sha256(f"{tower.key} {pixels_by} {hashlib.sha256(data).hexdigest()}".encode())
    mask = read_mask(sample, how.storage, how.decoding)
    anomalous = sample.anomalous if sample.anomalous is not None else mask is not None and bool(mask.any())
    fitted = packed(fit_mask(mask, tower.side, tower.side)) if anomalous and mask is not None else None
    item = Item(digest.hexdigest(), sample.group, anomalous, fitted)
    if store.has(item.key):
        return _Read(item, None)
    pixels = decode_picture(sample.image, data, how.decoding)
    return _Read(item, next(views(pixels, tower.side, [])))


def _encode(reads: list[_Read], tower: FrozenTower, store: FeatureStore) -> None:
    pictures = np.stack([read.view for read in reads if read.view is not None])
    features = tower.encode(torch.from_numpy(pictures))
    for place, read in enumerate(reads):
        own = np.s_[place : place + 1]
        store.put(read.item.key, Features(features.image[own], tuple(tap[own] for tap in features.taps)))
