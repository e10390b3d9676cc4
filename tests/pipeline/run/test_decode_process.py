"""A process that decodes: tables come back, and its death is an error of its own."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pyarrow as pa
import pytest

from s2sw.pipeline.run.decode_process import DecodeProcess, ProcessDiedError

LARGE = ("pyarrow", "pandas", "torch", "ray")


@dataclass(frozen=True)
class Stage:
    """Gives as many tables as the group's number; some numbers are deadly."""

    tables: int = 2

    def __call__(self, groups: pa.Table) -> Iterator[pa.Table]:
        (group,) = groups.column("id").to_pylist()
        if group == 13:
            os.kill(os.getpid(), signal.SIGSEGV)
        if group == 14:
            os._exit(3)
        if group == 15:
            raise ImportError("no module named /archive/doe^jane")
        if group == 16:
            pa.array([1])  # which makes pyarrow ask for pandas
            yield pa.table({"loaded": [name for name in LARGE if name in sys.modules]})
            return
        for number in range(self.tables):
            yield pa.table({"group": [group], "number": [number], "data": [b"x" * 100_000]})


@pytest.fixture
def process() -> Iterator[DecodeProcess]:
    process = DecodeProcess(Stage())
    yield process
    process.close()


def test_tables_come_back_group_by_group(process: DecodeProcess) -> None:
    for group in (1, 7):
        tables = list(process.decode(group))
        assert [table.column("group").to_pylist() for table in tables] == [[group]] * 2
        assert all(len(table.column("data")[0].as_py()) == 100_000 for table in tables)


def test_nothing_large_is_loaded(process: DecodeProcess) -> None:
    """Decoding waits for each of them, in every process."""
    (table,) = process.decode(16)
    assert table.column("loaded").to_pylist() == ["pyarrow"]


@pytest.mark.parametrize(("group", "words"), [(13, "ended by SIGSEGV"), (14, "exit code 3")])
def test_a_death_is_told_in_our_own_words(process: DecodeProcess, group: int, words: str) -> None:
    list(process.decode(1))
    with pytest.raises(ProcessDiedError, match=words):
        list(process.decode(group))


def test_what_cannot_be_set_up_is_named_without_its_text(process: DecodeProcess) -> None:
    with pytest.raises(ProcessDiedError) as error:
        list(process.decode(15))
    assert "ImportError" in str(error.value)
    assert "doe" not in str(error.value)


def test_closing_ends_it_in_the_middle() -> None:
    before = set(psutil.Process().children())
    process = DecodeProcess(Stage(tables=10_000))
    next(process.decode(1))
    (child,) = set(psutil.Process().children()) - before
    process.close()
    assert not child.is_running()
