"""The pickles of weights files, read without running anything: tensors and plain containers, nothing else.

Python's unpickler calls what a file names. This one knows the few opcodes that ``torch.save`` and TorchScript
write (pickle protocols 2 to 4, as the standard library's ``pickletools`` describes them) and the few names
that stand for tensors; any other opcode or name refuses the file.
"""

import pickletools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from torch import Tensor

from s2sw.model.weights.parts import SCRIPT, ModuleObject, RefusedError, StorageRef, Tensors

PICKLE_BYTES = 8 << 20
"""Of one pickle at most: some hundred bytes a tensor, which itself lies elsewhere."""
NODES = 1_000_000
DEPTH = 32


@dataclass(frozen=True, slots=True)
class _Name:
    """A global that the pickle names; calling it is up to ``_Machine._call``."""

    name: str


class _Mark:
    """Where the items of a container begin on the stack."""


_MARK = _Mark()
_NAMES = frozenset(
    {
        "collections OrderedDict",
        "torch Size",
        "__builtin__ set",
        "builtins set",
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        "torch.jit._pickle build_intlist",
        "torch.jit._pickle build_doublelist",
        "torch.jit._pickle build_boollist",
        "torch.jit._pickle build_tensorlist",
        "torch.jit._pickle restore_type_tag",
    }
)


def read_pickle(stream: BinaryIO, tensors: Tensors, classes: Collection[str] = ()) -> Any:
    """Read one pickle from a stream and leave the stream behind it.

    classes: full names of classes of modules that it may hold, beside those of TorchScript. Returns None,
    bool, int, float, str, tensors, ModuleObjects, and tuples, lists and dicts of these with keys that are str
    or int. Raises RefusedError, or ValueError for what is no pickle at all.
    """
    machine = _Machine(tensors, frozenset(classes))
    for opcode, argument, _ in pickletools.genops(cast(BinaryIO, _Bounded(stream, PICKLE_BYTES))):
        if opcode.name == "STOP":
            return _copied(machine.pop())
        machine.step(opcode.name, argument)
    raise RefusedError("it ends within a pickle")


class _Bounded:
    """A stream that refuses to give more than so many bytes in all."""

    def __init__(self, stream: BinaryIO, most: int) -> None:
        self._stream = stream
        self._left = most

    def read(self, size: int) -> bytes:
        return self._counted(self._stream.read(min(size, self._left + 1)))

    def readline(self) -> bytes:
        return self._counted(self._stream.readline(self._left + 1))

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise RefusedError(f"a pickle of more than {PICKLE_BYTES} bytes, where weights need few")
        return data


class _Machine:
    """The stack and memo of one pickle."""

    def __init__(self, tensors: Tensors, classes: frozenset[str]) -> None:
        self._tensors = tensors
        self._classes = classes
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def pop(self) -> Any:
        if not self._stack:
            raise RefusedError("its pickle takes more than it gives")
        return self._stack.pop()

    def step(self, opcode: str, argument: Any) -> None:
        """Do what one opcode says. Raises RefusedError for one that weights need not have."""
        if opcode in _VALUES:
            self._stack.append(argument)
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode]())
        elif opcode in _STEPS:
            _STEPS[opcode](self, argument)
        elif opcode not in ("PROTO", "FRAME"):
            raise RefusedError(f"its pickle has the instruction {opcode}, which tensors do not need")

    def items(self) -> list[Any]:
        """Take what lies above the last mark."""
        items = []
        while (item := self.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def top(self, kind: type) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            raise RefusedError(f"its pickle fills a {kind.__name__} that is none")
        return self._stack[-1]

    def put(self, place: int | None) -> None:
        value = self.pop()
        if value is _MARK:
            raise RefusedError("its pickle is out of order")
        self._memo[len(self._memo) if place is None else place] = value
        self._stack.append(value)

    def get(self, place: int) -> None:
        if place not in self._memo:
            raise RefusedError("its pickle names what it does not hold")
        self._stack.append(self._memo[place])

    def name(self, name: str) -> None:
        module, _, _ = name.partition(" ")
        is_script = module.split(".")[0] == SCRIPT
        is_storage = module == "torch" and name.endswith("Storage")
        is_known = name.replace(" ", ".") in self._classes
        if not (name in _NAMES or is_script or is_storage or is_known):
            raise RefusedError(f"it holds {name.replace(' ', '.')[:80]!r}, no tensor")
        self._stack.append(_Name(name))

    def stack_name(self) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise RefusedError("its pickle names a global by what is no text")
        self.name(f"{module} {name}")

    def tuple_of(self, count: int) -> None:
        items = [self.pop() for _ in range(count)][::-1]
        if any(item is _MARK for item in items):
            raise RefusedError("its pickle is out of order")
        self._stack.append(tuple(items))

    def fill(self, pairs: list[Any]) -> None:
        target = self.top(dict)
        if len(pairs) % 2 or not all(type(key) in (str, int) for key in pairs[::2]):
            raise RefusedError("it has a dict with keys that are neither names nor numbers")
        target.update(zip(pairs[::2], pairs[1::2], strict=True))

    def storage(self) -> None:
        """Turn a persistent id, ("storage", type, key, location, length, ...), into a reference."""
        match self.pop():
            case ("storage", _Name(name=kind), str(key), str(), int(length)) | (
                "storage",
                _Name(name=kind),
                str(key),
                str(),
                int(length),
                None,
            ):
                self._stack.append(StorageRef(key, kind.partition(" ")[2], length))
            case _:
                raise RefusedError("it refers to something outside that is no storage of numbers")

    def new(self) -> None:
        """NEWOBJ: an object of a class of modules."""
        match self.pop(), self.pop():
            case (), _Name(name=name) if name not in _NAMES and not name.startswith("torch "):
                self._stack.append(ModuleObject(name.replace(" ", ".")))
            case _:
                raise RefusedError("it holds an object that is no tensor")

    def build(self) -> None:
        """BUILD: attributes of a module. Those of a dict, its metadata, are not needed."""
        state = self.pop()
        if self._stack and type(self._stack[-1]) is dict and type(state) is dict:
            return
        target = self.top(ModuleObject)
        if type(state) is not dict:  # a class with __setstate__: its code would decide what becomes of it
            raise RefusedError(f"{target.kind[:80]!r} brings code of its own that would run when it is read")
        target.attributes.update({str(name): value for name, value in state.items()})

    def call(self) -> None:
        """REDUCE: what a name that is known makes of its arguments."""
        arguments, called = self.pop(), self.pop()
        if type(called) is not _Name or type(arguments) is not tuple:
            raise RefusedError("it calls what is no name")
        self._stack.append(self._result(called.name, arguments))

    def _result(self, name: str, arguments: tuple[Any, ...]) -> Any:
        match name.rpartition(" ")[2], arguments:
            case "OrderedDict", ():
                return {}
            case "OrderedDict", (list(pairs),) if all(
                type(pair) is list and len(pair) == 2 and type(pair[0]) is str for pair in pairs
            ):
                return dict(pairs)
            case "set", (list(items),):  # of names, in a module that was pickled as a whole
                return items
            case "Size", (tuple(size),):
                return size
            case (
                "_rebuild_tensor" | "_rebuild_tensor_v2",
                (StorageRef() as ref, int(at), tuple(size), tuple(stride), *_),
            ):
                return self._tensors.tensor(ref, at, size, stride)
            case "_rebuild_parameter", (Tensor() as data, *_):
                return data
            case "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist", (list(items),):
                return items
            case "restore_type_tag", (value, str()):
                return value
        raise RefusedError(f"it calls {name.replace(' ', '.')[:80]!r} with other than a tensor's parts")


_VALUES = frozenset("BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8".split())
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: _MARK,
}
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": lambda machine, _: machine.put(None),
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": lambda machine, _: machine.stack_name(),
    "TUPLE": lambda machine, _: machine._stack.append(tuple(machine.items())),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "APPEND": lambda machine, _: _append(machine, [machine.pop()]),
    "APPENDS": lambda machine, _: _append(machine, machine.items()),
    "SETITEM": lambda machine, _: machine.fill([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.fill(machine.items()),
    "BINPERSID": lambda machine, _: machine.storage(),
    "NEWOBJ": lambda machine, _: machine.new(),
    "BUILD": lambda machine, _: machine.build(),
    "REDUCE": lambda machine, _: machine.call(),
    "POP": lambda machine, _: machine.pop(),
}


def _append(machine: _Machine, items: list[Any]) -> None:
    machine.top(list).extend(items)


def _copied(value: Any) -> Any:
    """Return a value in which no container lies in itself or stands for more than ``NODES`` others."""
    left = iter(range(NODES))
    return _copy(value, left, DEPTH)


def _copy(value: Any, left: Iterator[int], depth: int) -> Any:
    if next(left, None) is None or not depth:
        raise RefusedError("its containers are nested without end")
    if type(value) is dict:
        return {name: _copy(item, left, depth - 1) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_copy(item, left, depth - 1) for item in value)
    if type(value) is ModuleObject:
        return ModuleObject(value.kind, _copy(value.attributes, left, depth - 1))
    if value is None or isinstance(value, bool | int | float | str | Tensor):
        return value
    raise RefusedError("it holds something that is no tensor, number, text or container")
