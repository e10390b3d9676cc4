"""Files of weights that are attacks: pickles that call, archives that lie."""

import os
import pickle
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class Calls:
    """A pickle that calls a function when it is read by Python's unpickler."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.parts = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.parts


class Opening(nn.Module):
    """Writes a file when TorchScript reads it: its ``__setstate__`` is run by torch.jit.load."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, Tensor, bool]:
        return self.path, self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, Tensor, bool]) -> None:
        self.path = state[0]
        self.weight = torch.from_file(state[0], True, 4)
        self.training = state[2]


class Plain(nn.Module):
    """A module like OpenAI's: parameters, buffers, plain attributes that are no part of its state."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.visual = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
        self.transformer = nn.ModuleList([nn.MultiheadAttention(4, 2), nn.MultiheadAttention(4, 2)])
        self.token_embedding = nn.Embedding(5, 4)
        self.positional_embedding = nn.Parameter(torch.randn(7, 4))
        self.text_projection = nn.Parameter(torch.randn(4, 4).half())
        self.logit_scale = nn.Parameter(torch.tensor(4.6))
        self.register_parameter("absent", None)
        self.register_buffer("input_resolution", torch.tensor(224))
        self.register_buffer("context_length", torch.tensor(77), persistent=False)
        self.mask = torch.ones(3, 3, dtype=torch.bool)
        self.tied = self.positional_embedding
        self.sizes = [1, 2]
        self.names = {"a": 1}

    def forward(self, x: Tensor) -> Tensor:
        return self.visual(x) + self.mask.sum() + self.sizes[0] + self.names["a"]


def scripted(module: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.script(module.eval()).save(str(path))


def state() -> dict[str, Any]:
    """Return what a training keeps, as plain as it comes."""
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.arange(4).half().t()}
    groups = [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0, 1], "foreach": None}]
    moments = {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2, 3)}}
    return {"parameters": tensors, "optimizer": {"state": moments, "param_groups": groups}, "key": "k"}


def good_files(folder: Path) -> list[Path]:
    """Write sound files of every form."""
    paths = [folder / f"good-{name}" for name in ("new.pt", "old.pth", "script.pt", "module.pth")]
    torch.save(state(), paths[0])
    torch.save(state(), paths[1], _use_new_zipfile_serialization=False)
    scripted(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3)), paths[2])
    torch.save({"state_dict": nn.Linear(2, 3).state_dict()}, paths[3], pickle_protocol=4)
    return paths


def hostile_files(folder: Path, mark: Path) -> None:
    """Write the corpus; ``mark`` is what a successful attack would make."""
    calls = {
        "mkdir": Calls(os.mkdir, str(mark)),
        "system": Calls(os.system, f"touch {mark}"),
        "open": Calls(open, str(mark), "w"),
        "from-file": Calls(torch.from_file, str(mark), True, 4),
        "eval": Calls(eval, f"open({str(mark)!r}, 'w')"),
        "getattr": Calls(getattr, Calls(__import__, "os"), "system"),
        "load": Calls(torch.load, str(mark)),
    }
    for name, call in calls.items():
        torch.save({"a": torch.ones(2), "b": call}, folder / f"call-{name}.pt")
        torch.save({"b": call}, folder / f"call-{name}.pth", _use_new_zipfile_serialization=False)
        (folder / f"raw-{name}.pkl").write_bytes(pickle.dumps({"a": call}))
    scripted(Opening(str(mark)), folder / "setstate.pt")
    for name, data in _pickles(mark):
        (folder / f"pickle-{name}.pt").write_bytes(archive({"data.pkl": data, "data/0": bytes(16)}))
    for name, data in _archives(folder):
        (folder / f"archive-{name}.pt").write_bytes(data)


TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n%sStorage\n"
    b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ%stQJ%s(%st(%st\x89)tR"
)


def tensor(kind: bytes, length: int, offset: int, size: list[int], stride: list[int]) -> bytes:
    """Return opcodes that rebuild a tensor over the storage "0"."""

    def number(value: int) -> bytes:
        return struct.pack("<i", value)

    def row(values: list[int]) -> bytes:
        return b"".join(b"J" + number(value) for value in values)

    return TENSOR % (kind, number(length), number(offset), row(size), row(stride))


def named(value: bytes) -> bytes:
    return b"\x80\x02}X\x01\x00\x00\x00a" + value + b"s."


def _pickles(mark: Path) -> Iterator[tuple[str, bytes]]:
    path = str(mark).encode()
    yield "inst", b"(S'touch %s'\nios\nsystem\n." % path
    yield "obj", b"(cos\nsystem\nS'touch %s'\no." % path
    yield "reduce", b"cos\nsystem\n(S'touch %s'\ntR." % path
    yield "newobj-ex", b"\x80\x04cos\nsystem\n)}\x92."
    yield "extension", b"\x80\x02\x82\x01."
    yield "build-slots", b"\x80\x02}(X\x01\x00\x00\x00a)}\x86b."
    yield "script-setstate", named(b"c__torch__\nA\n)\x81)b")
    yield "script-getattr", named(b"c__torch__.os\nsystem\n(X\x01\x00\x00\x00atR")
    yield "memo", b"\x80\x02]r\xff\xff\xff\x7f."
    yield "unknown-memo", b"\x80\x02h\x07."
    yield "text", b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b"a."
    yield "digits", b"I" + b"9" * 5000 + b"\n."
    yield "empty", b""
    yield "stop", b"."
    yield "mark", b"(."
    deep = b"]" * 100_000 + b"a" * 99_999
    yield "deep", named(deep)
    doubled = b"]q\x00" + b"".join(
        b"(" + b"h" + bytes([n]) * 1 + b"h" + bytes([n]) + b"lq" + bytes([n + 1]) for n in range(60)
    )
    yield "laughs", named(doubled)
    tuples = b")q\x00" + b"".join(b"0h%ch%c\x86q%c" % (n, n, n + 1) for n in range(60))
    yield "hashed", b"\x80\x02}" + tuples + b"K\x01s."
    yield "itself", named(b"]q\x00h\x00a")
    for name, part in _tensors():
        yield name, named(part)


def _tensors() -> Iterator[tuple[str, bytes]]:
    """Tensors over a storage of 16 bytes that are larger than it."""
    yield "long-storage", tensor(b"Float", 1 << 30, 0, [1], [1])
    yield "short-storage", tensor(b"Float", 2, 0, [1], [1])
    yield "negative-storage", tensor(b"Float", -4, 0, [1], [1])
    yield "size", tensor(b"Float", 4, 0, [5], [1])
    yield "stride", tensor(b"Float", 4, 0, [2], [1 << 30])
    yield "spread", tensor(b"Float", 4, 0, [1 << 30], [0])
    yield "offset", tensor(b"Float", 4, 4, [1], [1])
    yield "negative-offset", tensor(b"Float", 4, -1, [1], [1])
    yield "negative-stride", tensor(b"Float", 4, 3, [2], [-1])
    yield "negative-size", tensor(b"Float", 4, 0, [-1], [1])
    yield "product", tensor(b"Float", 4, 0, [1 << 30] * 16, [0] * 16)
    yield "dimensions", tensor(b"Float", 4, 0, [1] * 40, [1] * 40)
    yield "ragged", tensor(b"Float", 4, 0, [2, 2], [1])
    yield "quantized", tensor(b"QInt8", 4, 0, [1], [1])
    yield "untyped", tensor(b"Untyped", 16, 0, [1], [1])
    two = tensor(b"Float", 4, 0, [4], [1]) + b"0" + tensor(b"Half", 8, 0, [8], [1])
    yield "two-types", two


def archive(members: dict[str, bytes], folder: str = "x", compression: int = zipfile.ZIP_STORED) -> bytes:
    sink = BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as file:
        for name, data in members.items():
            file.writestr(f"{folder}/{name}", data)
    return sink.getvalue()


def _archives(folder: Path) -> Iterator[tuple[str, bytes]]:
    sound = named(tensor(b"Float", 4, 0, [4], [1]))
    numbers = bytes(16)
    yield "compressed-storage", archive({"data.pkl": sound, "data/0": numbers}, "x", zipfile.ZIP_DEFLATED)
    yield "bomb-pickle", archive({"data.pkl": bytes(40 << 20)}, "x", zipfile.ZIP_DEFLATED)
    yield (
        "bomb-code",
        archive(
            {"data.pkl": b"\x80\x02c__torch__.m\nA\n)\x81}b.", "code/__torch__/m.py": bytes(40 << 20)},
            "x",
            zipfile.ZIP_DEFLATED,
        ),
    )
    yield "without-storage", archive({"data.pkl": sound})
    yield "without-pickle", archive({"data/0": numbers})
    yield "big-endian", archive({"data.pkl": sound, "data/0": numbers, "byteorder": b"big"})
    yield "without-code", archive({"data.pkl": b"\x80\x02c__torch__.m\nA\n)\x81}b."})
    inner = (folder / "call-mkdir.pt").read_bytes()
    yield "nested", archive({"data.pkl": inner, "data/0": numbers})
    yield "nested-storage", archive({"data.pkl": sound, "data/0": inner})
    climbing = sound.replace(b"X\x01\x00\x00\x000", b"X\x0e\x00\x00\x00../../etc/host")
    yield "climbing", archive({"data.pkl": climbing, "data/0": numbers})
    many = tensor(b"Byte", 1 << 16, 0, [1 << 16], [1]) * 1000
    yield "thousandfold", archive({"data.pkl": named(b"](" + many + b"e"), "data/0": bytes(1 << 16)})
    whole = archive({"data.pkl": sound, "data/0": numbers})
    central = whole.index(b"PK\x01\x02", whole.index(b"PK\x01\x02") + 1)
    for name, at, value in (("size", 24, 1 << 30), ("stored", 20, 1 << 30), ("place", 42, 1 << 30)):
        lying = bytearray(whole)
        lying[central + at : central + at + 4] = struct.pack("<I", value)
        yield f"lying-{name}", bytes(lying)
    end = whole.rindex(b"PK\x05\x06")
    lying = bytearray(whole)
    lying[end + 12 : end + 16] = struct.pack("<I", 0x7FFFFFFF)
    yield "lying-directory", bytes(lying)
    yield "entries", _many_entries(100_000)
    sink = BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(sink, "w") as file:
        warnings.simplefilter("ignore")
        for data in (sound, pickle.dumps({"a": Calls(os.getpid)})):
            file.writestr("x/data.pkl", data)
        file.writestr("x/data/0", numbers)
    yield "twice", sink.getvalue()
    yield (
        "locked",
        whole.replace(
            b"PK\x01\x02" + whole[central + 4 : central + 8] + b"\x00",
            b"PK\x01\x02" + whole[central + 4 : central + 8] + b"\x01",
        ),
    )


def _many_entries(count: int) -> bytes:
    """Return an archive whose directory names an empty member so many times, by long names."""
    name = b"x" * 200
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    directory = entry * count
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count & 0xFFFF, count & 0xFFFF, len(directory), 0, 0)
    return directory + end
