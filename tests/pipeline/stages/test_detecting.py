"""The detect stage: scores of the worst view, one bad slice alone, and no pixels in what it returns."""

import functools
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from s2sw.model import build_bundle, load_detector
from s2sw.model.detectors.contract import Detection, Detector
from s2sw.model.maps import MapLayer
from s2sw.pipeline.imaging.tiles import shrunk, views
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.detecting import DetectStage, _in_range
from s2sw.pipeline.stages.wire import DETECTED, END, decoded_table
from s2sw.schemas.outcomes import Reason
from s2sw.schemas.tables import Row
from tests.support.archives import texture
from tests.support.meeting_detector import AT_ONCE, MeetingDetector
from tests.support.null_detector import NullDetector
from tests.support.null_stages import SIDE
from tests.support.rows import end_row
from tests.support.small_clip import state_dict

Pixels = NDArray[np.uint8]
BOXES = [(0, 0, 60, 60), (40, 0, 100, 60)]


def detecting(load: Callable[[], Detector], batch_size: int = 3, mask_threads: int = 1) -> DetectStage:
    settings = DetectSettings(
        load, threshold=0.5, batch_size=batch_size, threads=1, mask_threads=mask_threads
    )
    return DetectStage(settings)


@pytest.fixture(scope="module")
def load(bundle: Path) -> Callable[[], Detector]:
    torch.set_num_threads(1)
    return functools.partial(load_detector, bundle)


def decoded(side: int, *pictures: tuple[Pixels, list[tuple[int, int, int, int]]]) -> pa.Table:
    """Return the table of one object whose slices are the pictures, with their tiles."""
    rows: list[Row] = []
    for index, (pixels, boxes) in enumerate(pictures):
        rows.append(
            {
                "object": 0, "slice_index": index, "plane": "frame", "rows": pixels.shape[0],
                "cols": pixels.shape[1], "tiles": [edge for box in boxes for edge in box],
                "modality": "", "body_part": "", "applied": "",
                "pixels": np.stack(list(shrunk(pixels, side, boxes))),
            }
        )  # fmt: skip
    return decoded_table([*rows, end_row(0, len(pictures))])


def test_scores_are_those_of_the_detector_whatever_the_batch(load: Callable[[], Detector]) -> None:
    detector = load()
    pictures = [
        (texture(60, 100, 1), []), (texture(60, 100, 2), BOXES), (texture(80, 60, 3), []),
        (texture(60, 100, 4, channels=1), BOXES), (texture(70, 60, 5, channels=1), []),
    ]  # fmt: skip
    table = decoded(detector.image_size, *pictures)
    seen = [(pixels, detector.image_size, boxes) for pixels, boxes in pictures]
    outs = [detector.detect(np.stack(list(views(*view)))) for view in seen]
    for batch_size in (2, 8):
        rows = detecting(load, batch_size)(table).to_pylist()
        for row, out in zip(rows, outs, strict=False):
            worst = int(out.score.argmax())
            assert row["image_score"] == pytest.approx(out.score[worst].item(), abs=1e-5)
            assert row["family_scores"] == pytest.approx(out.family_scores[worst].tolist(), abs=1e-5)
            stored = np.frombuffer(row["token_map"], np.float16).reshape(out.token_map.shape)
            np.testing.assert_allclose(stored, out.token_map.numpy(), atol=1e-3)


def test_pixels_end_here_and_end_rows_pass(load: Callable[[], Detector]) -> None:
    out = detecting(load)(decoded(load().image_size, (texture(20, 20, 1), [])))
    assert out.schema.equals(DETECTED)
    assert out.column("slice_index").to_pylist() == [0, END]
    end = out.to_pylist()[1]
    assert {key: end[key] for key in ("status", "n_slices", "decoder")} == {
        "status": "screened", "n_slices": 1, "decoder": "dicom",
    }  # fmt: skip
    assert end["image_score"] is None


def test_masks_made_in_several_threads_are_the_same(load: Callable[[], Detector]) -> None:
    side = load().image_size
    table = decoded(side, *[(texture(40 + number, 60, number), []) for number in range(5)])
    one, several = (
        detecting(load, mask_threads=threads)(table).drop_columns(["detect_seconds"]) for threads in (1, 3)
    )
    assert one.equals(several)


def test_a_table_of_end_rows_needs_no_detection(load: Callable[[], Detector]) -> None:
    out = detecting(load)(decoded_table([end_row(0, 0, Reason.EMPTY), end_row(1, 0, Reason.BOMB)]))
    assert out.column("reason").to_pylist() == ["empty", "bomb"]


class RefusesWhite:
    """A detector as real as its base, but for pictures that are white all over."""

    def __init__(self, bundle: Path) -> None:
        self._detector = load_detector(bundle)
        self.image_size, self.map_layers = self._detector.image_size, self._detector.map_layers
        self.class_names: tuple[str, ...] = ()

    def detect(self, images: Pixels, class_names: Sequence[str] | None = None) -> Detection:
        if (images == 255).all(axis=(1, 2, 3)).any():
            raise RuntimeError("out of memory")
        return self._detector.detect(images)


def test_a_slice_that_fails_takes_no_other_with_it(bundle: Path) -> None:
    white = np.full((30, 30, 3), 255, np.uint8)
    table = decoded(
        load_detector(bundle).image_size, (texture(30, 30, 1), []), (white, []), (texture(30, 30, 2), [])
    )
    rows = detecting(lambda: RefusesWhite(bundle), batch_size=8)(table).to_pylist()
    assert [row["reason"] for row in rows] == [None, Reason.DETECTOR_FAILED, None, None]
    assert rows[1]["image_score"] is None
    assert rows[0]["image_score"] != rows[2]["image_score"]


class RunsOutOfMemory(NullDetector):
    """Takes one picture at a time, and only after what it held of a larger batch is gone."""

    held: Callable[[], object] = staticmethod(lambda: None)

    def detect(self, images: Pixels, class_names: Sequence[str] | None = None) -> Detection:
        if len(images) > 1:
            activations = {0}
            self.held = weakref.ref(activations)
            raise MemoryError
        assert self.held() is None
        return super().detect(images, class_names)


def test_a_batch_that_was_too_large_holds_no_memory_while_it_is_done_one_by_one() -> None:
    table = decoded(SIDE, *[(texture(SIDE, SIDE, number), []) for number in range(3)])
    rows = detecting(RunsOutOfMemory)(table).to_pylist()
    assert [row["reason"] for row in rows] == [None] * 4


def test_seconds_of_calls_at_once_are_counted_once() -> None:
    stage = detecting(MeetingDetector)
    tables = [decoded(SIDE, (texture(SIDE, SIDE, number), [])) for number in range(AT_ONCE)]
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        outs = list(threads.map(stage, tables))
    elapsed = time.monotonic() - started
    seconds = [row["detect_seconds"] for out in outs for row in out.to_pylist()[:1]]
    assert min(seconds) >= 0
    assert 0 < sum(seconds) <= elapsed


def test_scores_that_are_no_numbers_are_a_reason(tmp_path: Path) -> None:
    weights = state_dict()
    weights["visual.proj"][0, 0] = torch.nan
    save_file(weights, tmp_path / "clip.safetensors")
    build_bundle(
        tmp_path / "b", tmp_path / "clip.safetensors", image_size=40, prompts="handwritten",
        activation="quick_gelu", trained=False,
    )  # fmt: skip
    table = decoded(40, (texture(30, 30, 1), []))
    rows = detecting(functools.partial(load_detector, tmp_path / "b"))(table).to_pylist()
    assert rows[0]["reason"] == Reason.NOT_FINITE_SCORE
    assert rows[0]["image_score"] is None
    assert rows[0]["token_map"] is None


def test_a_detector_that_takes_no_picture_ends_the_run() -> None:
    class Broken:
        image_size, map_layers, class_names = 32, (MapLayer(4, 32),), ()

        def detect(self, images: Pixels, class_names: Sequence[str] | None = None) -> Detection:
            raise RuntimeError("no kernel image")

    with pytest.raises(RuntimeError, match="no kernel image"):
        detecting(Broken)


@pytest.mark.parametrize(
    ("changes", "sound"),
    [
        ({}, True),
        ({"rank_score": 0.3, "rarity_score": -4.0}, True),
        ({"image_score": float("nan")}, False),
        ({"rank_score": float("nan"), "rarity_score": 1.0}, False),
        ({"rank_score": 1e15, "rarity_score": 1.0}, False),
        ({"rank_score": 0.5, "rarity_score": float("-inf")}, False),
    ],
)
def test_scores_of_a_profile_are_finite_shares_or_none(changes: dict[str, float], sound: bool) -> None:
    assert _in_range({"image_score": 0.5, **changes}) is sound
