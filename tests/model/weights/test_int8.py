"""Weights as int8: how far they may be off, and that nothing else changes but its rounding."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from s2sw.model.weights.int8 import FACTOR, packed, unpacked


@given(arrays("float32", (3, 5), elements=st.floats(-1e4, 1e4, width=32)))
def test_a_value_is_half_a_step_off_at_most(values):
    tensor = torch.from_numpy(values)
    small = packed({"mlp.weight": tensor})
    step = small["mlp.weight" + FACTOR]
    assert small["mlp.weight"].dtype == torch.int8
    off = (unpacked(small)["mlp.weight"] - tensor).abs()
    assert (off <= 0.501 * step[:, None] + 1e-30).all()


def test_rows_have_their_own_steps_and_kernels_keep_their_shape():
    kernel = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    kernel[1] *= 1000
    found = unpacked(packed({"conv1.weight": kernel}))["conv1.weight"]
    assert found.shape == kernel.shape
    assert float((found - kernel)[0].abs().max()) < 0.02
    assert not unpacked(packed({"conv1.weight": torch.zeros(2, 3)}))["conv1.weight"].any()


def test_all_but_weights_of_products_is_half_precision():
    tensors = {
        "ln_1.weight": torch.rand(4),
        "attn.in_proj_bias": torch.rand(4),
        "positions": torch.rand(3, 4),
    }
    found = unpacked(packed(tensors))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor.half().float())
