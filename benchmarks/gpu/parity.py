"""Stage 1: detectors on the device give what they are published to give; alone, in batches, in threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.bundles import apart, load_embedded, rank_correlation, real_pictures, restored
from benchmarks.gpu.options import Options, Results, failure
from s2sw.model import load_detector
from s2sw.model.precision import Precision
from tests.support.golden import golden
from tests.support.golden_family import case

SCORE, MAP = 1e-4, 2e-4
"""Largest differences from the golden vectors in float32, of scores and of maps in 0..1."""
BATCH = 32
THREADS, CALLS = 2, 8


@dataclass(frozen=True)
class GoldenCase:
    """name: of the carried bundle. read: the golden arrays. score, map: their names. times: the published
    range of the map over ours, where the detector does not say it."""

    name: str
    read: Callable[[], Any]
    score: str = "image_score"
    map: str = "anomaly_map"
    times: float | None = None


CASES = (
    GoldenCase("s2swclip_a", lambda: golden("a")),
    GoldenCase("s2swclip_b", lambda: golden("b")),
    GoldenCase("anomalyclip", lambda: case("anomalyclip")),
    GoldenCase("april_gan", lambda: case("april")),
    GoldenCase("winclip", lambda: case("winclip")),
    GoldenCase("winclip_plus", lambda: case("winclip"), "few_shot_image_score", "few_shot_anomaly_map"),
    GoldenCase("adaptclip", lambda: case("adaptclip"), "zero_image_score", "zero_anomaly_map"),
    GoldenCase("adaptclip_few", lambda: case("adaptclip"), "few_image_score", "few_anomaly_map"),
    GoldenCase("af_clip", lambda: case("afclip"), "zero_image_score", "zero_anomaly_map"),
    GoldenCase("af_clip_few", lambda: case("afclip"), "few_image_score", "few_anomaly_map"),
    # the raw map is shown as sigmoid(map / 2 - 1), which is an eighth as steep at most
    GoldenCase("aa_clip", lambda: case("aaclip"), "industrial_det_score", "industrial_map", times=8),
    GoldenCase("mvfa", lambda: case("mvfa"), "zero_image_score", "zero_anomaly_map"),
    GoldenCase("mvfa_few", lambda: case("mvfa"), "few_det_score", "few_seg_map"),
)


def run(options: Options) -> None:
    results = Results(options, "parity")
    names = ["embedded"]
    for of in CASES:
        if options.quick and not (options.carried / "golden" / of.name).is_dir():
            continue  # a rehearsal is given a few
        results[of.name] = golden_case(options, of)
        names.append(of.name)
    results["embedded"] = embedded(options)
    failed = [name for name in names if not results[name].get("passed")]
    results["failed"] = failed
    if failed:
        raise RuntimeError(f"differ from what they should give: {', '.join(failed)}")


def golden_case(options: Options, of: GoldenCase) -> dict[str, Any]:
    """Return how far a detector is from its golden vectors, and from itself."""
    expected = of.read()
    carried = options.carried / "golden" / of.name
    if not carried.is_dir():
        return {"missing": f"{carried}: make it with python -m benchmarks.gpu.carry"}
    visual = {n: t for n, t in expected.clip.tensors.items() if n.startswith("visual.")}
    folder = restored(carried, visual, options.work / of.name)
    full, half = (Watched(options, folder, precision) for precision in ("fp32", "bf16"))
    out = full.detect(expected.images)
    score, anomaly_map = full.detector.raw(expected.images, full.names(expected.images))
    found: dict[str, Any] = {
        "score": expected.error(of.score, score) / full.detector.published_score,
        "map": expected.error(of.map, anomaly_map) / (of.times or full.detector.published_map),
        "bf16_map": apart(half.detect(expected.images).token_map, out.token_map),
        **full.batches(expected.images),
        **full.threads(expected.images),
        "waits": full.waits(expected.images),
    }
    found["passed"] = found["score"] <= SCORE and found["map"] <= MAP and found["threads_equal"]
    return found


class Watched:
    """A detector on the device, and what is asked of it."""

    def __init__(self, options: Options, folder: Any, precision: Precision) -> None:
        self.detector: Any = load_detector(folder, device=options.device, precision=precision)
        self._gpu = options.on_gpu
        self._batch = 4 if options.quick else BATCH

    def detect(self, x: Tensor) -> Any:
        return self.detector.detect_normalized(x, self.names(x))

    def names(self, x: Tensor) -> list[str] | None:
        """Return a class name for each picture, where the detector has any."""
        return list(self.detector.class_names[:1]) * len(x) or None

    def batches(self, x: Tensor) -> dict[str, Any]:
        """Compare a picture alone with the same one in a batch."""
        alone = self.detect(x[:1])
        among = self.detect(x.repeat(self._batch // len(x), 1, 1, 1))
        return {
            "batch_score": apart(among.score[:1], alone.score)["max"],
            "batch_map": apart(among.token_map[:1], alone.token_map)["max"],
            "batch_equal": torch.equal(among.token_map[:1], alone.token_map),
        }

    def threads(self, x: Tensor) -> dict[str, Any]:
        """Compare calls in two threads, each with a stream of its own, with the same calls in turn."""
        given = [x + 0.01 * number for number in range(CALLS)]
        alone = [self.detect(one) for one in given]
        with ThreadPoolExecutor(THREADS) as pool:
            together = list(pool.map(self._on_a_stream, given))
        same = all(
            torch.equal(a.score, b.score) and torch.equal(a.token_map, b.token_map)
            for a, b in zip(alone, together, strict=True)
        )
        return {"threads_equal": same}

    def _on_a_stream(self, x: Tensor) -> Any:
        stream: AbstractContextManager[Any] = nullcontext()
        if self._gpu:
            stream = torch.cuda.stream(torch.cuda.Stream())  # type: ignore[no-untyped-call]
        with stream:
            return self.detect(x)

    @torch.inference_mode()
    def waits(self, x: Tensor) -> str:
        """Return where the host waits for the device while it computes; "none" is what it should be."""
        if not self._gpu:
            return "needs CUDA"
        there = x.to(self.detector.device)
        classes = torch.zeros(len(x), dtype=torch.int64, device=there.device)
        self.detector.score(there, classes)
        try:
            with no_waiting():
                self.detector.score(there, classes)
        except RuntimeError as error:
            return failure(error)
        return "none"


@contextmanager
def no_waiting() -> Iterator[None]:
    """Let whatever makes the host wait for the GPU raise RuntimeError."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def embedded(options: Options) -> dict[str, Any]:
    """Return how far the embedded detector is from itself on the CPU and in bf16, over real pictures."""
    detectors = {"fp32": load_embedded(options, "fp32"), "bf16": load_embedded(options, "bf16")}
    pictures = real_pictures(options, detectors["fp32"].image_size)
    if pictures is None:
        return {"missing": "no real pictures were carried: make them with python -m benchmarks.gpu.carry"}
    outs = {precision: detector.detect(pictures) for precision, detector in detectors.items()}
    some = pictures[:4]
    on_cpu = load_embedded(Options("cpu", True, options.out, options.carried, options.work), "fp32").detect(
        some
    )
    found: dict[str, Any] = {
        "pictures": len(pictures),
        "cpu_score": apart(outs["fp32"].score[: len(some)], on_cpu.score)["max"],
        "cpu_map": apart(outs["fp32"].token_map[: len(some)], on_cpu.token_map)["max"],
        "bf16_map": apart(outs["bf16"].token_map, outs["fp32"].token_map),
        "bf16_score": apart(outs["bf16"].score, outs["fp32"].score),
        "bf16_rank_correlation": rank_correlation(outs["bf16"].score, outs["fp32"].score),
    }
    found["passed"] = found["cpu_score"] <= SCORE and found["cpu_map"] <= MAP
    return found
