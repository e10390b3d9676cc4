"""Files that somebody else puts into ``audit/`` end no run, and the check of the log tells of them."""

import json
from pathlib import Path

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger.audit import STARTED, AuditLog, entry_names, verify
from s2sw.pipeline.ledger.other_key import refuse_other_key
from s2sw.pipeline.privacy.ids import key_id
from s2sw.schemas import layout

KEY = bytes(range(32))
RUN = "20260704T010000-aaaaaa"
NO_ENTRIES = ["9" * 20, "9" * 13, "000000000", "0000001", "x", "\uff11" * 8, "sub/00000001", "-0000001"]


@pytest.fixture
def output(tmp_path: Path) -> LocalOutput:
    folder = LocalOutput(tmp_path / "out")
    AuditLog(folder, KEY).append(STARTED, RUN, {})
    return folder


def plant(output: LocalOutput, name: str, **entry: object) -> None:
    content = {"key_id": key_id(KEY), **entry}
    output.write(
        f"audit/{name}.jsonl", json.dumps(content, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    )


def runs(output: LocalOutput) -> None:
    """Do as two runs do."""
    for _ in range(2):
        refuse_other_key(output, True, KEY)
        for event in (STARTED, "finished"):
            AuditLog(output, KEY).append(event, RUN, {})


@pytest.mark.parametrize("name", NO_ENTRIES)
def test_files_of_other_names_are_no_entries(output: LocalOutput, name: str) -> None:
    """The attack: after an entry of the highest number no run could add another."""
    plant(output, name)
    runs(output)
    assert entry_names(output) == [layout.entry_name(number) for number in range(5)]
    (problem,) = verify(output, KEY).problems
    assert problem.startswith(f"{f'audit/{name}.jsonl'!a}: its name is that of no entry")


@pytest.mark.parametrize("number", [1, 3, 1000, 99_999_999, 100_000_000, 10**12 - 1])
def test_an_entry_without_a_seal_ends_no_run(output: LocalOutput, number: int) -> None:
    plant(output, f"{number:08}", entry=number)
    runs(output)
    found = verify(output, KEY)
    assert (found.entries, found.sealed) == (6, 6)
    assert f"{layout.entry_name(number)}: its seal does not fit" in "".join(found.problems)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[" * 100_000], ids=["nothing", "cut", "no text", "deep"]
)
def test_a_damaged_file_ends_no_run(output: LocalOutput, data: bytes) -> None:
    output.write(layout.entry_name(1), data)
    runs(output)
    assert layout.entry_name(1) in "".join(verify(output, KEY).problems)


def test_a_gap_is_found(output: LocalOutput) -> None:
    runs(output)
    output.delete(layout.entry_name(2))
    assert "entry 2 is expected here" in "".join(verify(output, KEY).problems)


def test_numbers_are_in_order_when_they_grow_longer(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    for number in (100_000_000, 99_999_999):
        plant(output, f"{number:08}")
    assert [layout.entry_number(name) for name in entry_names(output)] == [99_999_999, 100_000_000]
