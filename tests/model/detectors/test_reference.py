"""The fast detector against the plain one of the benchmarks, on shapes that the golden cases do not have."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmarks.reference_detector import Reference, hierarchical
from s2sw.model import build_bundle, load_detector
from s2sw.model.bundles.record import read_record
from s2sw.model.heads.spatial import hierarchical_fusion
from s2sw.model.prompts.learned import LearnedPrompts
from s2sw.model.weights.clip import clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from tests.support import small_clip


@pytest.mark.parametrize("taps", ["released", "per_layer"])
@pytest.mark.parametrize("grid", [1, 3, 21])
@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_same_results(taps, grid, activation, tmp_path):
    """A grid of 21 has more tokens than the 384 that are pooled to, a grid of 1 only two."""
    clip = clip_from_tensors(small_clip.state_dict(), "small", LoadOptions("quick_gelu"))
    vectors = torch.randn(2, 3, small_clip.WIDTH, generator=torch.Generator().manual_seed(3))
    side = grid * small_clip.PATCH + 3  # the last pixels of a side fill no patch
    folder = build_bundle(
        tmp_path / "bundle",
        clip,
        prompts=LearnedPrompts(vectors[0], vectors[1], ()),
        image_size=side,
        taps=taps,
        activation=activation,
        mix=(0.6, 0.4),
    )
    reference = Reference(read_record(folder), load_file(folder / "weights.safetensors"))
    x = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(grid))
    detector = load_detector(folder)
    out = detector.detect_normalized(x)
    for row, one in enumerate(x):
        score, tokens, full = reference.detect(one)
        assert abs(score - float(out.score[row])) < 1e-5
        np.testing.assert_allclose(out.token_map[row], tokens, atol=1e-4)
        np.testing.assert_allclose(detector.full_map(out.token_map)[row], full, atol=1e-4)


@pytest.mark.parametrize("tokens", [2, 26, 226, 384, 600, 1370])
def test_hierarchical_fusion(tokens):
    p = torch.randn(2, tokens, 64, generator=torch.Generator().manual_seed(tokens))
    expected = torch.stack([hierarchical(one) for one in p])
    torch.testing.assert_close(hierarchical_fusion(p), expected, rtol=1e-4, atol=1e-5)
