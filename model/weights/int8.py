"""Weights as whole numbers: int8 with one factor for each row, so that a file takes a quarter of float32."""

from collections.abc import Mapping

import torch
from torch import Tensor

from s2sw.model.towers.int8_linear import as_int8

FACTOR = ".factor"
"""Names a row's factor after its tensor."""


def packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of products as int8 (rows, ...) with float32 factors (rows,), all else as float16.

    A value is at most half a factor off; a row's factor is its largest absolute value over 127.
    """
    small: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or not name.endswith("weight"):
            small[name] = tensor.to(torch.float16).contiguous()
            continue
        whole, small[name + FACTOR] = as_int8(tensor.flatten(1))
        small[name] = whole.reshape(tensor.shape).contiguous()
    return small


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of ``packed`` in float32, by their own names."""
    whole = {}
    for name, tensor in tensors.items():
        if name.endswith(FACTOR):
            continue
        factor = tensors.get(name + FACTOR)
        whole[name] = tensor.float() if factor is None else _scaled(tensor, factor)
    return whole


def _scaled(tensor: Tensor, factor: Tensor) -> Tensor:
    return tensor.float() * factor.view(-1, *(1 for _ in tensor.shape[1:]))
