"""Run files come back as they were written; anything else is named."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger.run_records import ReportError, all_runs, choose_run, next_run_id, read_run, run_ids
from s2sw.schemas.layout import writer_mark
from s2sw.schemas.run_record import record_bytes
from tests.support.finished_runs import FIRST, SECOND, config, summarise, write_parts, write_run
from tests.support.rows import quarantined, screened

OBJECTS = [screened(0, 0.25, 0.5), quarantined(1)]
GOOD = json.loads(record_bytes(summarise(OBJECTS), config(), {}))


@pytest.fixture
def output(tmp_path: Path) -> OutputFolder:
    return LocalOutput(tmp_path)


def test_a_summary_comes_back(output: OutputFolder) -> None:
    summary = summarise(OBJECTS, max_quarantined=0.1)
    write_run(output, summary)
    record = read_run(output, FIRST)
    assert record.summary == summary
    assert dataclasses.asdict(record.summary) == dataclasses.asdict(summary)
    assert record.summary.exit_code == 4
    assert record.private
    assert record.versions["torch"]
    write_run(output, summary, config(mode="open"))
    assert not read_run(output, FIRST).private


def test_the_next_run_sorts_behind_records_and_rows(output: OutputFolder) -> None:
    """Those of a run that was killed have no record."""
    now = datetime.now(UTC)
    recorded, killed = (f"{now + timedelta(minutes=n):%Y%m%dT%H%M%S}-aaaaaa" for n in (5, 10))
    assert next_run_id(output) < recorded
    write_run(output, summarise([], recorded))
    assert recorded < next_run_id(output) < killed
    write_parts(output, OBJECTS, killed, mark=writer_mark(0, 1))
    assert killed < next_run_id(output)


def test_the_latest_is_chosen(output: OutputFolder) -> None:
    for run_id in (SECOND, FIRST):
        write_run(output, summarise(OBJECTS, run_id))
    output.write("runs/deferred.parquet", b"")
    output.write("runs/lease-000003", b"{}")
    assert run_ids(output) == [FIRST, SECOND]
    assert choose_run(output, None).summary.run_id == SECOND
    assert choose_run(output, FIRST).summary.run_id == FIRST
    assert [run.summary.run_id for run in all_runs(output)] == [FIRST, SECOND]


def test_an_unknown_run_names_the_known(output: OutputFolder) -> None:
    for day in range(10, 22):
        write_run(output, summarise(OBJECTS, f"202607{day}T010000-aaaaaa"))
    with pytest.raises(ReportError) as caught:
        choose_run(output, "yesterday")
    message = str(caught.value)
    assert message.startswith(f"no run yesterday in {output.root}; known: 20260712T010000-aaaaaa, ")
    assert message.endswith("20260721T010000-aaaaaa (and 2 earlier; --all lists them)")


def test_an_output_without_runs_is_named(output: OutputFolder) -> None:
    with pytest.raises(ReportError, match="holds no runs"):
        choose_run(output, None)
    with pytest.raises(ReportError, match="holds no runs"):
        list(all_runs(output))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "Expecting property name"),
        ("[1]", "an object with keys is expected"),
        ("{}", "'run_id'"),
        ('{"run_id": 3}', "'run_id': Input should be a valid string"),
        (json.dumps(GOOD | {"bundle": {"trained": True}}), "bundle lacks detector, prompts"),
        ("[" * 100_000, "nested too deeply"),
        ("\udcff", "utf-8"),
    ],
)
def test_a_damaged_file_is_named(output: OutputFolder, text: str, problem: str) -> None:
    output.write(f"runs/{FIRST}.json", text.encode(errors="surrogateescape"))
    with pytest.raises(ReportError, match=problem) as caught:
        read_run(output, FIRST)
    assert f"runs/{FIRST}.json: not the file of a run" in str(caught.value)
    assert "\n" not in str(caught.value)


any_json = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), any_json, max_size=4))
def test_any_content_is_a_run_or_an_error(tmp_path_factory: pytest.TempPathFactory, changes: dict) -> None:
    output = LocalOutput(tmp_path_factory.getbasetemp() / "any-content")
    output.write(f"runs/{FIRST}.json", json.dumps(GOOD | changes).encode())
    try:
        record = read_run(output, FIRST)
    except ReportError:
        return
    assert record.summary.exit_code in (0, 1, 3, 4)
