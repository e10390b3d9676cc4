"""The detect stage: rows with pixels in, rows with scores, token maps and masks out. Pixels end here."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from math import isqrt
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from s2sw.model.maps import MapLayer, is_ordinary
from s2sw.model.precision import token_type
from s2sw.model.rarity.features import Features, compared_taps, features_of
from s2sw.pipeline.imaging.masks import SliceMaps, measure
from s2sw.pipeline.imaging.tiles import boxes_of, in_colour
from s2sw.pipeline.privacy.redaction import describe, withheld
from s2sw.pipeline.profile.place import OnlinePlace, Subject
from s2sw.pipeline.profile.ranking import ProfileRanking, Ranked, Seen, zero_shot_tokens
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.wire import DETECTED, END, table_of
from s2sw.schemas.outcomes import Reason
from s2sw.schemas.tables import Row


class Views(NamedTuple):
    """What the detector sees of a slice, the class it is judged by, and what it is for a profile.

    pixels: uint8 (1 + tiles, side, side), or (1 + tiles, side, side, 3) of a coloured one.
    """

    pixels: NDArray[np.uint8]
    class_name: str | None
    subject: Subject | None = None


class DetectStage:
    """A callable for Ray Data: tables of schema DECODED to tables of schema DETECTED.

    Threads may call it at once. On a GPU each has a stream of its own.
    """

    _out = DETECTED

    def __init__(self, settings: DetectSettings) -> None:
        self._thread = threading.local()
        self._lock, self._last_end = threading.Lock(), 0.0
        with withheld(settings.private):
            self._start(settings)

    def _start(self, settings: DetectSettings) -> None:
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self._settings = settings
        # NumPy lets other threads run while it computes; a GPU must not wait for the masks of large pictures
        self._masks = ThreadPoolExecutor(settings.mask_threads) if settings.mask_threads > 1 else None
        self._detector = settings.load()
        device = str(getattr(self._detector, "device", "cpu"))
        place = settings.profile
        dtype = token_type(getattr(self._detector, "precision", "fp32"))
        self._online = place.stream.ranking(device, dtype) if isinstance(place, OnlinePlace) else None
        self._profile = None
        if place and not self._online:
            self._profile = ProfileRanking(place, self._detector.grid**2, device, dtype)
        # a detector that fails on a blank picture would quarantine the whole archive: end the run instead
        side = self._detector.image_size
        self._detector.detect(np.zeros((1, side, side, 3), np.uint8), self._detector.class_names[:1] or None)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Score the slices of a table; END rows pass through."""
        with withheld(self._settings.private), self._own_stream():
            return self._scored(table)

    def _own_stream(self) -> contextlib.AbstractContextManager[None]:
        """Let copies of this thread run while the GPU computes for another; nothing without a GPU."""
        if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            return contextlib.nullcontext()
        if not hasattr(self._thread, "stream"):
            self._thread.stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        return torch.cuda.stream(self._thread.stream)

    def _scored(self, table: pa.Table) -> pa.Table:
        pixels = table.column("pixels").combine_chunks()
        rows: list[Row] = table.drop_columns(["pixels"]).to_pylist()
        slices = [i for i, row in enumerate(rows) if row["slice_index"] != END]
        if self._online:
            for row in rows:  # there is one
                self._online.note(row)
        scored = self._score([self._seen(pixels[i], rows[i]) for i in slices])
        run = self._masks.map if self._masks else map
        for i, finished in zip(slices, run(self._finish, [rows[i] for i in slices], scored), strict=True):
            rows[i].update(finished)
        return table_of(rows, self._out)

    def _seen(self, value: pa.LargeBinaryScalar, row: Row) -> Views:
        subject = Subject(row["owner"], row["case"], tuple(row["groups"])) if row["groups"] else None
        return Views(self._views(value, row), row["class_name"], subject)

    def _views(self, value: pa.LargeBinaryScalar, row: Row) -> NDArray[np.uint8]:
        side, count = self._detector.image_size, 1 + len(boxes_of(row["tiles"]))
        small = np.frombuffer(value.as_buffer(), np.uint8)
        if small.size == count * side * side:  # grey travels as one channel
            return small.reshape(count, side, side)
        return small.reshape(count, side, side, 3)

    def _score(self, slices: list[Views]) -> list[Row]:
        """Return each slice's scores and maps, or the reason why there are none."""
        if not slices:
            return []
        if self._settings.deadline is not None and time.time() >= self._settings.deadline:
            return [{"reason": Reason.TIME_WINDOW}] * len(slices)
        started = time.monotonic()
        scored, failure = self._try(slices)
        if not scored:  # the error is gone by now, and with it what it held of the device's memory
            if len(slices) == 1:
                return [{"reason": Reason.DETECTOR_FAILED, "failure": failure}]
            return [row for one in slices for row in self._score([one])]
        share = self._seconds_since(started) / len(slices)
        for row in scored:
            row["detect_seconds"] = share
        return scored

    def _try(self, slices: list[Views]) -> tuple[list[Row], str]:
        try:
            return self._detect(slices), ""
        # everything: the detector runs on whatever device, and one slice must not take its neighbours with it
        except Exception as error:  # noqa: BLE001
            return [], describe(error)

    def _seconds_since(self, started: float) -> float:
        """Return the seconds of a call that ends now, less those that the call before it still took."""
        with self._lock:
            now = time.monotonic()
            seconds, self._last_end = now - max(started, self._last_end), now
        return seconds

    def _detect(self, slices: list[Views]) -> list[Row]:
        """Score all views of all slices in batches and put each slice's views together again."""
        if self._profile or self._online:
            return [self._detect_ranked(one) for one in slices]
        stack = in_colour([one.pixels for one in slices])
        names = [one.class_name for one in slices for _ in one.pixels if one.class_name is not None]
        outs = [
            self._detector.detect(stack[part], names[part] or None)
            for part in _parts(len(stack), self._settings.batch_size)
        ]
        score = torch.cat([out.score for out in outs]).float().cpu().numpy()
        families = torch.cat([out.family_scores for out in outs]).float().cpu().numpy()
        maps = torch.cat([out.token_map for out in outs]).float().cpu().numpy().astype(np.float16)
        ends = np.cumsum([len(one.pixels) for one in slices])
        parts = [slice(end - len(one.pixels), end) for end, one in zip(ends, slices, strict=True)]
        return [self._merge(score[p], families[p], maps[p]) for p in parts]

    def _detect_ranked(self, one: Views) -> Row:
        """Score the views of one slice, and rank it by the profile, or by what came before."""
        (scores, families, maps), taps, features = self._with_patches(one)
        row = self._merge(scores, families, maps)
        row |= {"depends_on_order": True} if self._online else {}
        if one.subject is None or not np.isfinite(maps).all():
            return row
        tokens = [zero_shot_tokens(each, self._detector.map_layers, taps[0].shape[1]) for each in maps]
        if self._online:
            ranked = self._online.rank(one.subject, [tap[0] for tap in taps], row["image_score"], tokens[0])
        else:
            assert self._profile is not None
            views = [Seen(*view) for view in zip(features, map(float, scores), tokens, strict=True)]
            ranked = self._profile.rank(one.subject, views)
        if ranked is None:
            return row
        kept = np.stack(tokens).astype(np.float16).tobytes() if self._settings.zero_shot_map else None
        return {**row, **_ranks(ranked), "zero_shot_map": kept}

    def _with_patches(
        self, one: Views
    ) -> tuple[tuple[NDArray[np.float32], ...], list[torch.Tensor], list[Features]]:
        """Return scores, family scores and token maps of a slice's views, and what each is compared by.

        The taps, (B, N, D) each, are those of the last views alone: of all the tiles of a large slice they
        would not fit into memory.
        """
        stack = in_colour([one.pixels])
        outs, features = [], []
        for part in _parts(len(stack), self._settings.batch_size):
            names = [one.class_name] * len(stack[part]) if one.class_name is not None else None
            found, taps = self._detector.detect_with_patches(stack[part], names)
            outs.append((found.score, found.family_scores, found.token_map))
            features += [] if self._online else features_of(compared_taps(taps))
        columns = zip(*outs, strict=True)
        return tuple(torch.cat(column).float().cpu().numpy() for column in columns), taps, features

    def _merge(
        self, score: NDArray[np.float32], families: NDArray[np.float32], maps: NDArray[np.floating]
    ) -> Row:
        """Take the scores of the most anomalous view: a small defect shows in one tile only."""
        best = int(score.argmax())
        return {"image_score": float(score[best]), "family_scores": families[best].tolist(), "maps": maps}

    def _finish(self, row: Row, scores: Row) -> Row:
        if "reason" in scores:
            return scores
        token_maps: NDArray[np.float16] = scores.pop("maps").astype(np.float16)
        if not (_in_range(scores) and np.isfinite(token_maps).all()):
            return {"reason": Reason.NOT_FINITE_SCORE}
        layers = self._layers(scores, token_maps)
        maps = SliceMaps(token_maps, layers, row["rows"], row["cols"], boxes_of(row["tiles"]))
        mask = measure(maps, self._settings.threshold)
        return {
            **scores,
            "map_max": mask.map_max,
            "map_mean": mask.map_mean,
            "area_fraction": mask.area_fraction,
            "mask": mask.mask,
            "mask_encoding": mask.mask_encoding,
            "token_map": token_maps.tobytes(),
            "grid": layers[0].grid,
            "side": layers[0].side,
            "smooth": layers[0].smooth,
            "map_layers": None if is_ordinary(layers) else [asdict(layer) for layer in layers],
        }

    def _layers(self, scores: Row, token_maps: NDArray[np.float16]) -> tuple[MapLayer, ...]:
        """Return how the full map is made: one grid, smoothed, of what a profile combined."""
        if "group" not in scores:
            return self._detector.map_layers
        return (MapLayer(token_maps.shape[-1], self._detector.image_size),)


def _in_range(scores: Row) -> bool:
    """Tell whether the scores are finite, and those of a profile, which others may have made, are shares."""
    return bool(
        np.isfinite((scores["image_score"], scores.get("rarity_score", 0.0))).all()
        and 0 <= scores.get("rank_score", 0.0) <= 1
    )


def _ranks(ranked: Ranked) -> Row:
    side = isqrt(ranked.tokens.shape[1])
    return {
        "group": ranked.group,
        "rarity_score": ranked.rarity,
        "rank_score": ranked.rank,
        "similar_pictures": [{"object_id": owner, "slice_index": index} for owner, index in ranked.similar]
        or None,
        "maps": ranked.tokens.numpy().reshape(-1, side, side),
    }


def _parts(count: int, size: int) -> list[slice]:
    return [slice(i, i + size) for i in range(0, count, size)]
