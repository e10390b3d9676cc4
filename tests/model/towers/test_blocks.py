"""A block's parts: two ways to compute the same."""

import pytest
import torch
from torch import nn

from s2sw.model.towers.blocks import Mlp, activate


def mlp(width: int, activation: str) -> Mlp:
    torch.manual_seed(1)
    return Mlp(width, activation)


def in_float64(layer: Mlp, x: torch.Tensor) -> torch.Tensor:
    def linear(of: nn.Linear, given: torch.Tensor) -> torch.Tensor:
        return given @ of.weight.double().T + of.bias.double()

    return linear(layer.c_proj, activate(linear(layer.c_fc, x.double()), layer.activation))


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize(("dtype", "largest"), [(torch.float32, 1e-6), (torch.bfloat16, 6e-3)])
@pytest.mark.parametrize("shape", [(5, 64), (2, 7, 64), (2, 1, 64)])
def test_with_gradients_and_without_the_same(activation, dtype, largest, shape):
    layer, x = (
        mlp(64, activation).to(dtype),
        torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(dtype),
    )
    expected = in_float64(layer, x)
    with_gradients = layer(x)
    assert with_gradients.requires_grad
    with torch.inference_mode():
        before = x.clone()
        without = layer(x)
        assert torch.equal(x, before)
    for found in (with_gradients.detach(), without):
        assert found.dtype == dtype
        assert ((found.double() - expected).norm() / expected.norm()) < largest
