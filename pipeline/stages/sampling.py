"""The detect stage of a profile's making: pixels end here, too, and what a bank keeps comes out."""

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from s2sw.model.rarity.features import Features, from_int8, to_int8
from s2sw.pipeline.profile.ranking import zero_shot_tokens
from s2sw.pipeline.stages.detecting import DetectStage, Views
from s2sw.pipeline.stages.wire import SAMPLED
from s2sw.schemas.outcomes import Reason
from s2sw.schemas.tables import Row


class SampleStage(DetectStage):
    """Tables of schema DECODED to tables of schema SAMPLED."""

    _out = SAMPLED

    @override
    def _detect(self, slices: list[Views]) -> list[Row]:
        return [self._sampled(one) for one in slices]

    def _sampled(self, one: Views) -> Row:
        ((score,), _, (tokens,)), _, (features,) = self._with_patches(one)
        tokens = zero_shot_tokens(tokens, self._detector.map_layers, len(features.patches[0]))
        if not (np.isfinite(score) and np.isfinite(tokens).all()):
            return {"reason": Reason.NOT_FINITE_SCORE}
        return {"image_score": float(score), "tokens": tokens.tobytes(), "features": pack(features)}

    @override
    def _finish(self, row: Row, scores: Row) -> Row:
        return scores


def pack(features: Features) -> bytes:
    """Return features as bytes: counts and widths, int32; the description, float32; patches, int8."""
    taps = [to_int8(patches).cpu().numpy() for patches in features.patches]
    shape = np.array([len(taps), len(taps[0]), *(tap.shape[1] for tap in taps)], np.int32)
    description = features.description.float().cpu().numpy()
    return b"".join(part.tobytes() for part in (shape, description, *taps))


def unpack(data: bytes) -> Features:
    """Return what ``pack`` packed; patches in the precision of int8."""
    taps, count = np.frombuffer(data, np.int32, 2)
    widths: NDArray[np.int32] = np.frombuffer(data, np.int32, taps, 8)
    place = 8 + 4 * int(taps)
    description = np.frombuffer(data, np.float32, widths[0], place)
    place += 4 * int(widths[0])
    patches = []
    for width in widths:
        packed = np.frombuffer(data, np.int8, count * width, place).reshape(count, width)
        patches.append(from_int8(torch.tensor(packed)))
        place += int(count * width)
    return Features(torch.tensor(description), tuple(patches))
