"""A process that decodes, for runs without Ray. It may die of what it decodes; whoever started it goes on.

The parent writes the pickled stage, then numbers of groups. The process answers each with tables as Arrow
streams and an end, or with why it gives up. Every message has its length before it, and an answer its kind.
The process ends when the parent does: its input ends then.
"""

import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.abc import MetaPathFinder
from typing import IO, BinaryIO

import pyarrow as pa
from typing_extensions import override

from s2sw.pipeline.run.executor import words_of

_LENGTH = struct.Struct("<Q")
_TABLE, _END, _FAILED = b"T", b"E", b"F"
Stage = Callable[[pa.Table], Iterator[pa.Table]]


class ProcessDiedError(Exception):
    """The process ended in the middle of a group; the message says how, in our own words."""


class DecodeProcess:
    """Decodes groups one at a time in a process of its own. stage: picklable, as ``DecodeStage``."""

    def __init__(self, stage: Stage) -> None:
        here_in, there_out = os.pipe()
        there_in, here_out = os.pipe()
        # -P: no folder of the user's is looked in for modules
        command = [sys.executable, "-P", "-m", __name__, str(there_in), str(there_out)]
        self._process = subprocess.Popen(  # noqa: S603 (this very module)
            command,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(there_in, there_out),
        )  # fmt: skip
        os.close(there_in)
        os.close(there_out)
        self._out: BinaryIO = os.fdopen(here_out, "wb")
        self._in: BinaryIO = os.fdopen(here_in, "rb")
        self._stage = stage
        self._told = False

    def decode(self, group: int) -> Iterator[pa.Table]:
        """Yield the tables of one group. Raises ProcessDiedError."""
        try:
            if not self._told:
                _send(self._out, pickle.dumps(self._stage))
                self._told = True
            _send(self._out, _LENGTH.pack(group))
        except BrokenPipeError:
            raise self._died() from None
        while (answer := self._answer())[0] == _TABLE:
            yield pa.ipc.open_stream(pa.py_buffer(answer[1])).read_all()
        if answer[0] == _FAILED:
            raise ProcessDiedError(bytes(answer[1]).decode())

    def close(self) -> None:
        """End the process, whatever it does."""
        for stream in (self._out, self._in):
            _close(stream)
        self._process.kill()
        self._process.wait()

    def _answer(self) -> tuple[bytes, memoryview]:
        message = _receive(self._in)
        if message is None:
            raise self._died()
        return message[:1], memoryview(message)[1:]

    def _died(self) -> ProcessDiedError:
        code = self._process.wait()
        if code >= 0:
            return ProcessDiedError(f"a decode process ended with exit code {code}")
        name = signal.Signals(-code).name
        memory = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
        return ProcessDiedError(f"a decode process was ended by {name}{memory}")


def _send(stream: IO[bytes], *parts: bytes | pa.Buffer) -> None:
    stream.write(_LENGTH.pack(sum(map(len, parts))))
    for part in parts:
        stream.write(part)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    """Return a message, None where the other end is gone."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message = stream.read(length)
    return message if len(message) == length else None


def _close(stream: IO[bytes]) -> None:
    with contextlib.suppress(BrokenPipeError):  # what was not read any more
        stream.close()


def _serve(source: BinaryIO, sink: BinaryIO) -> None:
    told = _receive(source)
    if told is None:
        return
    stage: Stage = pickle.loads(told)  # noqa: S301 (from the process that started this one)
    while (number := _receive(source)) is not None:
        (group,) = _LENGTH.unpack(number)
        for table in stage(pa.table({"id": [group]})):
            buffer = pa.BufferOutputStream()
            with pa.ipc.new_stream(buffer, table.schema) as writer:
                writer.write_table(table)
            _send(sink, _TABLE, buffer.getvalue())
        _send(sink, _END)


class _WithoutPandas(MetaPathFinder):
    """Lets nobody import pandas here: pyarrow does, only to ask whether a list is one of pandas' arrays.

    The import was a third of what the process took to start.
    """

    @override
    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is not used here", name=fullname)


def main() -> None:
    """Serve the parent until it is gone. Signals to the whole group are the parent's to answer."""
    sys.meta_path.insert(0, _WithoutPandas())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    source, sink = (int(argument) for argument in sys.argv[1:])
    answers = os.fdopen(sink, "wb")
    try:
        _serve(os.fdopen(source, "rb"), answers)
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more; closing the pipe would fail again
    except Exception as error:  # noqa: BLE001 - the stage itself lets nothing out: it could not be read, or set up
        _send(answers, _FAILED, words_of(error).encode())


if __name__ == "__main__":
    main()
