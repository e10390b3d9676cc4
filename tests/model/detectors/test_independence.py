"""A row of a result depends on its own picture alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sw.model import build_bundle, load_detector
from s2sw.model.precision import multiplies_int8
from s2sw.model.prompts.learned import LearnedPrompts
from s2sw.model.weights.clip import clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from tests.support import small_clip

POOL = 5
SIDE = small_clip.PATCH * 7
SIZES = [(SIDE, SIDE), (64, 90), (33, 20)]


@pytest.fixture(scope="module", params=["fp32", "bf16", "int8"])
def detector(request, tmp_path_factory):
    if request.param == "int8" and not multiplies_int8(torch.device("cpu")):
        pytest.skip("this CPU has no AVX-512 VNNI, or torch no int8 products")
    clip = clip_from_tensors(small_clip.state_dict(), "small", LoadOptions("quick_gelu"))
    vectors = torch.randn(2, 3, small_clip.WIDTH, generator=torch.Generator().manual_seed(3))
    out = tmp_path_factory.mktemp("independence") / "bundle"
    build_bundle(out, clip, prompts=LearnedPrompts(vectors[0], vectors[1], ()), image_size=SIDE)
    return load_detector(out, precision=request.param)


def picture(seed: int, size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def equal(one, other) -> bool:
    pairs = zip((one.score, one.family_scores, one.token_map), other, strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture(scope="module")
def alone(detector):
    """Each picture in a batch of its own."""
    return {(i, s): detector.detect(picture(i, s)[None]) for i in range(POOL) for s in SIZES}


@settings(max_examples=12, deadline=None)
@given(
    batches=st.lists(
        st.tuples(st.sampled_from(SIZES), st.lists(st.integers(0, POOL - 1), min_size=1, max_size=6)),
        min_size=1,
        max_size=3,
    )
)
def test_any_batches_in_any_order(detector, alone, batches):
    """Whatever the neighbours, the size of the batch, and the sizes that ran before: bit for bit."""
    for size, members in batches:
        out = detector.detect(np.stack([picture(i, size) for i in members]))
        for row, i in enumerate(members):
            expected = alone[i, size]
            found = (out.score[row : row + 1], out.family_scores[row : row + 1], out.token_map[row : row + 1])
            assert equal(expected, found)


def test_a_whole_batch_through_the_tower_at_once(detector):
    """As a GPU runs it: equal to rounding, where the CPU's one by one is equal to the bit."""
    x = torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        _, families, maps = detector.score(x, torch.zeros(4, dtype=torch.int64))
    out = detector.detect_normalized(x)
    tolerance = 1e-5 if detector.precision == "fp32" else 2e-2
    torch.testing.assert_close(families, out.family_scores, rtol=0, atol=tolerance)
    torch.testing.assert_close(maps, out.token_map, rtol=0, atol=tolerance)
