"""The state dict of a TorchScript module, from its attributes and the names that its code declares.

The code is read as text, for two lines of each class: which attributes are parameters and which are buffers.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from s2sw.model.weights.parts import ModuleObject, RefusedError

Code = Callable[[str], str]
"""Returns a file of the archive's code by its path below ``code/``."""

_DECLARED = re.compile(r"^  __(?:parameters|buffers)__ = \[([^\]\n]*)\]$", re.MULTILINE)
_QUOTED = re.compile(r'"([^"]*)"')


def state_of(module: ModuleObject, code: Code) -> dict[str, Tensor]:
    """Return what ``torch.jit.load(...).state_dict()`` would, names to tensors.

    Raises RefusedError where the code does not declare a class.
    """
    return dict(_entries(module, "", _Classes(code)))


class _Classes:
    """The names of parameters and buffers of each class."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._texts: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}

    def names(self, kind: str) -> list[str]:
        if kind not in self._names:
            module, _, name = kind.rpartition(".")
            path = f"{module.replace('.', '/')}.py"
            if path not in self._texts:
                self._texts[path] = self._code(path)
            self._names[kind] = _declared(self._texts[path], name)
        return self._names[kind]


def _declared(text: str, name: str) -> list[str]:
    start = re.search(rf"^class {re.escape(name)}\(Module\):\n", text, re.MULTILINE)
    if start is None:
        raise RefusedError(f"its code has no module {name[:80]!r}")
    end = text.find("\nclass ", start.end())
    lists = _DECLARED.findall(text, start.end(), len(text) if end < 0 else end)
    return [quoted for one in lists for quoted in _QUOTED.findall(one)]


def _entries(module: ModuleObject, prefix: str, classes: _Classes) -> Iterator[tuple[str, Any]]:
    for name in classes.names(module.kind):
        value = module.attributes.get(name)
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
    for name, value in module.attributes.items():
        if isinstance(value, ModuleObject):
            yield from _entries(value, f"{prefix}{name}.", classes)
