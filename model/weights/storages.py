"""Storages of a weights file: blocks of numbers, and tensors that stay within them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from s2sw.model.weights.parts import RefusedError, StorageRef

DIMENSIONS = 16
SHARED = 4
"""Times that the bytes of a file may appear in its tensors: some share a storage."""

Read = Callable[[StorageRef, memoryview], None]
"""Fills the memory with the bytes of a storage. Raises RefusedError where there are more or fewer."""


class Storages:
    """Makes the tensors of one file. file_bytes: its size, more than which no file can hold."""

    def __init__(self, read: Read, file_bytes: int) -> None:
        self._read = read
        self._kept: dict[str, Tensor] = {}
        self._unread = file_bytes
        self._viewed = SHARED * file_bytes

    def tensor(self, ref: StorageRef, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        """Return a tensor over a storage. Raises RefusedError where it leaves the storage."""
        numbers = (offset, *size, *stride)
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise RefusedError("it has a tensor whose shape is no row of numbers")
        if len(size) != len(stride) or len(size) > DIMENSIONS:
            raise RefusedError(f"it has a tensor of {len(size)} dimensions with {len(stride)} strides")
        storage, count = self._storage(ref), math.prod(size)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if count > len(storage) or (count and last >= len(storage)) or offset > len(storage):
            raise RefusedError(f"it has a tensor that reaches beyond its storage {ref.key[:40]!r}")
        self._viewed -= count * storage.element_size()
        if self._viewed < 0:
            raise RefusedError("its tensors are far larger than the file")
        return storage.as_strided(size, stride, offset)

    def _storage(self, ref: StorageRef) -> Tensor:
        """Return a storage as a tensor of one dimension."""
        dtype = ref.dtype
        kept = self._kept.get(ref.key)
        if kept is None:
            kept = self._kept[ref.key] = self._new(ref, dtype)
        if kept.dtype != dtype or len(kept) != ref.length:
            raise RefusedError(f"it gives its storage {ref.key[:40]!r} two sizes or types")
        return kept

    def _new(self, ref: StorageRef, dtype: torch.dtype) -> Tensor:
        size = ref.size
        if not 0 <= size <= self._unread:
            raise RefusedError(f"its storage {ref.key[:40]!r} is larger than the file")
        self._unread -= size
        if not size:
            return torch.empty(0, dtype=dtype)
        data = torch.empty(size, dtype=torch.uint8)
        self._read(ref, data.numpy().data)
        # a byte that is neither 0 nor 1 is no bool
        return data != 0 if dtype is torch.bool else data.view(dtype)
