"""Linear layers in int8: close to exact ones, each token for itself."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from s2sw.model.precision import multiplies_int8
from s2sw.model.towers import packed
from s2sw.model.towers.blocks import Attention
from s2sw.model.towers.int8_linear import LARGEST_TOKEN, MIDDLE, Int8Linear, as_int8, tokens_as_bytes
from tests.model.towers.test_packed import WIDTH, blocks, run

needs_int8 = pytest.mark.skipif(
    not multiplies_int8(torch.device("cpu")), reason="this CPU has no AVX-512 VNNI, or torch no int8 products"
)
types = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
THEN = {"none": lambda x: x, "swish": functional.silu, "gelu": functional.gelu}


def random(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def apart(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact.double()).norm() / exact.double().norm())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 99),
    large=st.floats(1e-3, 1e6),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_a_token_is_off_by_half_a_step_at_most(seed, large, dtype):
    x = (random(5, 33, seed=seed) * random(5, 1, seed=seed + 1) * large).to(dtype)
    found, factor = tokens_as_bytes(x)
    steps = found.float() - MIDDLE
    assert steps.abs().max() <= LARGEST_TOKEN + 1
    assert ((steps * factor.float() - x.float()).abs() <= 0.5001 * factor.float()).all()


def test_weights_are_off_by_half_a_step_at_most():
    rows = torch.cat([random(4, 9), torch.zeros(1, 9)])
    whole, factor = as_int8(rows)
    assert (rows - whole * factor[:, None]).abs().max() <= 0.5001 * factor.max()
    assert not whole[-1].any()


@needs_int8
@types
@pytest.mark.parametrize("then", list(THEN))
def test_close_to_the_exact_layer(then, dtype):
    weight, bias, x = random(96, WIDTH), random(96, seed=2), random(2, 50, WIDTH, seed=3).to(dtype)
    found = Int8Linear(weight, bias.to(dtype), then)(x)
    exact = THEN[then](functional.linear(x.double(), weight.double(), bias.to(dtype).double()))
    assert found.dtype == dtype
    assert found.shape == exact.shape
    assert apart(found, exact) < 0.02


@needs_int8
@types
def test_a_token_has_no_part_in_another_one(dtype):
    layer = Int8Linear(random(96, WIDTH), random(96, seed=2).to(dtype))
    x = random(50, WIDTH, seed=3).to(dtype)
    loud = x.clone()
    loud[7] *= 1e4
    others = [row for row in range(50) if row != 7]
    assert torch.equal(layer(x)[others], layer(loud)[others])
    assert torch.equal(layer(x)[20:21], layer(x[20:21]))


@needs_int8
@types
def test_a_token_of_zeros_is_the_bias_and_one_that_is_not_finite_stays_so(dtype):
    bias = random(96, seed=2).to(dtype)
    layer = Int8Linear(random(96, WIDTH), bias)
    x = torch.zeros(3, WIDTH, dtype=dtype)
    x[1, 5], x[2, 5] = float("nan"), float("inf")
    found = layer(x)
    assert torch.equal(found[0], bias)
    assert not found[1:].isfinite().any()


@needs_int8
@types
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_blocks_are_close_and_a_picture_alone_is_equal_to_it_with_others(activation, dtype):
    plain = blocks(activation, dtype)
    quick = copy.deepcopy(plain)
    packed.pack_when_used(quick, "int8")
    assert all(type(block.attn) is Attention for block in quick.resblocks)
    x = random(3, 50, WIDTH, seed=5).to(dtype)
    found = run(quick, x)
    assert all(isinstance(block.attn.in_proj, Int8Linear) for block in quick)
    assert apart(found, run(copy.deepcopy(plain).double(), x.double())) < 0.02
    assert torch.equal(found[1:2], run(quick, x[1:2]))
