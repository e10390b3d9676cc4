"""Decisions: added only, by several at once, and what of them counts."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.outputs.opening import open_output
from s2sw.pipeline.flagging.decisions import (
    NOTE_CHARACTERS,
    Decision,
    DecisionError,
    append,
    compact,
    counting,
    decision_files,
    decisions,
    history,
)
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import DECISIONS
from tests.support.s3server import S3Server

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


def decision(
    kind: str = "accept", object_id: str = "a", index: int = 0, second: int = 0, **values: Any
) -> Decision:
    known: dict[str, Any] = {
        "object_id": object_id, "slice_index": index, "fingerprint": "f", "decision": DecisionKind(kind),
        "reviewer": "ada", "decided": NOON + timedelta(seconds=second), "threshold": 0.5,
    }  # fmt: skip
    return Decision(**(known | values))


@pytest.fixture
def output(tmp_path: Path) -> LocalOutput:
    return LocalOutput(tmp_path / "results")


def kinds(table: pa.Table) -> list[tuple[str, str, str]]:
    return [(row["object_id"], row["reviewer"], row["decision"]) for row in table.to_pylist()]


def test_nothing_decided_is_an_empty_table(output: LocalOutput) -> None:
    assert decisions(output).equals(DECISIONS.empty_table())


def test_a_decision_is_read_back_as_it_was_written(output: LocalOutput) -> None:
    append(output, [decision("unsure", index=7, note="<b>blur</b> at the edge", threshold=0.25)])
    (row,) = decisions(output).to_pylist()
    assert row == {
        "object_id": "a", "slice_index": 7, "fingerprint": "f", "decision": "unsure",
        "note": "<b>blur</b> at the edge", "reviewer": "ada", "decided": NOON, "threshold": 0.25,
    }  # fmt: skip
    assert decisions(output).schema == DECISIONS


def test_the_newest_of_a_reviewer_counts_whatever_the_files_are_called(output: LocalOutput) -> None:
    append(output, [decision("reject", second=5)])
    append(output, [decision("accept", second=1), decision("accept", "b", second=1)])
    assert kinds(decisions(output)) == [("b", "ada", "accept"), ("a", "ada", "reject")]


def test_a_withdrawn_decision_is_gone_and_stays_in_the_history(output: LocalOutput) -> None:
    append(output, [decision("accept")])
    append(output, [decision("withdrawn", second=1)])
    assert len(decisions(output)) == 0
    assert [row["decision"] for row in history(output).to_pylist()] == ["accept", "withdrawn"]
    append(output, [decision("unsure", second=2)])
    assert kinds(decisions(output)) == [("a", "ada", "unsure")]


def test_reviewers_slices_and_settings_are_apart(output: LocalOutput) -> None:
    append(output, [decision("accept"), decision("reject", reviewer="bob", second=1)])
    append(output, [decision("unsure", index=1, second=2), decision("reject", fingerprint="g", second=3)])
    append(output, [decision("withdrawn", second=4)])
    found = decisions(output)
    assert kinds(found) == [("a", "bob", "reject"), ("a", "ada", "unsure"), ("a", "ada", "reject")]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("reviewer", " ", "reviewer is ' '"),
        ("reviewer", "x" * 101, "reviewer is"),
        ("note", "x" * (NOTE_CHARACTERS + 1), f"note has {NOTE_CHARACTERS + 1} characters"),
        ("threshold", 1.5, "threshold is 1.5"),
        ("threshold", float("nan"), "threshold is nan"),
        ("decided", datetime(2026, 1, 1), "with its zone"),
    ],
)
def test_what_cannot_be_kept_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(DecisionError, match=message):
        decision(**{field: value})


def test_a_file_that_is_none_of_decisions_is_named(output: LocalOutput) -> None:
    output.write("decisions/x.parquet", b"no parquet")
    with pytest.raises(DecisionError, match=r"decisions/x\.parquet: not a file of decisions"):
        decisions(output)


def test_a_half_written_file_is_not_read(output: LocalOutput) -> None:
    append(output, [decision()])
    (Path(output.root) / "decisions/.tmp-0123-x.parquet").write_bytes(b"PAR1 half")
    assert len(decisions(output)) == 1


def test_many_reviewers_at_once_lose_nothing(output: LocalOutput) -> None:
    each, reviewers = 25, ["ada", "bob", "cyd", "dov"]
    start = threading.Barrier(len(reviewers))

    def decide(reviewer: str) -> None:
        start.wait()
        for index in range(each):
            append(output, [decision(reviewer=reviewer, index=index)])
            if index % 10 == 0:
                compact(output, keep=4)

    threads = [threading.Thread(target=decide, args=(name,)) for name in reviewers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {(row["reviewer"], row["slice_index"]) for row in decisions(output).to_pylist()}
    assert found == {(name, index) for name in reviewers for index in range(each)}


def test_compacting_keeps_every_row_and_few_files(output: LocalOutput) -> None:
    for second in range(6):
        append(output, [decision(list(DecisionKind)[second % 4].value, str(second % 3), second=second)])
    before = history(output)
    assert compact(output, keep=6) == 0
    assert compact(output, keep=5) == 6
    assert len(decision_files(output)) == 1
    assert history(output).equals(before)


def test_a_rewriting_killed_before_it_deletes_changes_nothing(output: LocalOutput) -> None:
    for second in range(3):
        append(output, [decision(index=second, second=second)])
    before = history(output)
    both = [output.read(name) for name in decision_files(output)]
    compact(output, keep=1)
    for number, data in enumerate(both):
        output.write(f"decisions/old-{number}.parquet", data)
    assert history(output).equals(before)


class VanishingOutput(LocalOutput):
    """A folder that another process compacts between the listing and the reading."""

    vanishes = True

    def read(self, name: str, most: int | None = None) -> bytes:
        if self.vanishes:
            self.vanishes = False
            compact(LocalOutput(self._root), keep=1)
        return super().read(name, most)


def test_files_rewritten_while_they_are_read_are_listed_anew(output: LocalOutput) -> None:
    for second in range(3):
        append(output, [decision(index=second, second=second)])
    assert len(decisions(VanishingOutput(Path(output.root)))) == 3


ROWS = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.sampled_from(["ada", "bob"]), st.sampled_from(list(DecisionKind)),
        st.integers(0, 3),
    ),
    max_size=12,
)  # fmt: skip


@given(ROWS, st.randoms())
def test_what_counts_does_not_depend_on_the_order_of_files(
    rows: list[tuple[str, str, DecisionKind, int]], random: Any
) -> None:
    """Against a plain model: sort, keep the last of each key, drop the withdrawn."""
    records = [
        {"object_id": o, "slice_index": 0, "fingerprint": "f", "decision": k.value, "note": "",
         "reviewer": r, "decided": NOON + timedelta(seconds=s), "threshold": 0.5}
        for o, r, k, s in rows
    ]  # fmt: skip
    last: dict[tuple[str, str], str] = {}
    for row in sorted(records, key=lambda row: (row["decided"], row["object_id"], row["decision"])):
        last[row["object_id"], row["reviewer"]] = row["decision"]
    expected = {(o, r, k) for (o, r), k in last.items() if k != "withdrawn"}
    random.shuffle(records)
    assert set(kinds(counting(pa.Table.from_pylist(records, DECISIONS)))) == expected


@pytest.mark.integration
def test_decisions_on_s3(s3: S3Server) -> None:
    output: OutputFolder = open_output(f"s3://{s3.bucket()}/nightly", StorageSettings())
    for second in range(3):
        append(output, [decision("accept", str(second), second=second)])
    assert compact(output, keep=2) == 3
    append(output, [decision("withdrawn", "1", second=9)])
    assert kinds(decisions(output)) == [("0", "ada", "accept"), ("2", "ada", "accept")]


def test_any_parquet_reader_can_read_them(output: LocalOutput) -> None:
    append(output, [decision()])
    assert pq.read_table(Path(output.root) / "decisions").num_rows == 1
