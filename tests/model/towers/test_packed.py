"""Packed blocks compute what the plain ones do."""

import copy

import pytest
import torch
from torch import Tensor

from s2sw.model.towers import onednn, packed
from s2sw.model.towers.blocks import Attention, Blocks

needs_bf16 = pytest.mark.skipif(not packed.packs(), reason="this CPU or torch has no packed bf16 products")
WIDTH, HEADS, LAYERS = 64, 4, 2


def blocks(activation: str, dtype: torch.dtype = torch.bfloat16) -> Blocks:
    torch.manual_seed(4)
    made = Blocks(WIDTH, HEADS, LAYERS, activation)
    for name, one in made.named_parameters():
        torch.nn.init.normal_(one, 1.0 if "ln" in name and "weight" in name else 0.0, 0.1)
    return made.to(dtype).requires_grad_(requires_grad=False)


def run(of: Blocks, x: Tensor) -> Tensor:
    with torch.inference_mode():
        for block in of:
            x = block(x)
    return x


@needs_bf16
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_as_close_to_float64_as_plain_blocks(activation):
    plain = blocks(activation)
    quick = copy.deepcopy(plain)
    packed.pack(quick)
    assert all(isinstance(block.attn, packed.PackedAttention) for block in quick)
    x = torch.randn(2, 50, WIDTH, generator=torch.Generator().manual_seed(5)).bfloat16()
    exact = run(copy.deepcopy(plain).double(), x.double())
    apart = [((run(of, x).double() - exact).norm() / exact.norm()).item() for of in (plain, quick)]
    assert apart[1] < 1.2 * apart[0] < 0.02


@needs_bf16
def test_a_picture_alone_is_equal_to_it_with_others():
    quick = blocks("quick_gelu")
    packed.pack(quick)
    x = torch.randn(3, 50, WIDTH, generator=torch.Generator().manual_seed(6)).bfloat16()
    together = run(quick, x)
    assert torch.equal(together[1:2], run(quick, x[1:2]))


@needs_bf16
def test_asked_for_it_is_done_at_the_first_use():
    waiting = blocks("gelu")
    packed.pack_when_used(waiting, "bf16")
    assert all(type(block.attn) is Attention for block in waiting.resblocks)
    for _ in range(2):
        assert all(isinstance(block.attn, packed.PackedAttention) for block in waiting)


def test_float32_stays_as_it_is():
    plain = blocks("gelu", torch.float32)
    packed.pack(plain)
    assert all(type(block.attn) is Attention for block in plain)


def test_so_does_bf16_where_the_operators_are_missing(monkeypatch):
    monkeypatch.setattr(onednn, "OPERATORS", object())
    plain = blocks("gelu")
    packed.pack(plain)
    assert all(type(block.attn) is Attention for block in plain)
