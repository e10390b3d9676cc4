"""What the pickle of a weights file is made of besides plain containers."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

SCRIPT = "__torch__"
"""Package of the classes that a TorchScript archive defines itself."""
DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
"""Types of numbers by the names that files give storages of them."""


class RefusedError(ValueError):
    """A file holds something else than tensors in plain containers, or is not what it says."""


@dataclass(frozen=True, slots=True)
class StorageRef:
    """Where the numbers of tensors lie: the name of a storage and its type as the file calls it."""

    key: str
    kind: str
    length: int

    @property
    def dtype(self) -> torch.dtype:
        """The type of its numbers. Raises RefusedError for one that no weights have."""
        if self.kind not in DTYPES:
            raise RefusedError(f"it has numbers of type {self.kind[:40]!r}, which no weights here have")
        return DTYPES[self.kind]

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.length * self.dtype.itemsize


class Tensors(Protocol):
    """Makes tensors over the storages of a file."""

    def tensor(self, ref: StorageRef, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
        """Return a tensor over a storage. Raises RefusedError where it leaves the storage."""


@dataclass(slots=True)
class ModuleObject:
    """An object of a module's class, which no code has touched: the class's name and its attributes."""

    kind: str
    attributes: dict[str, Any] = field(default_factory=dict)
