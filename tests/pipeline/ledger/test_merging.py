"""Small parts become large ones, and every row is there exactly once whenever a merge is killed."""

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.outputs.opening import open_output
from s2sw.jobs.cli import app
from s2sw.pipeline.ledger.audit import AuditLog
from s2sw.pipeline.ledger.audit import verify as verify_log
from s2sw.pipeline.ledger.committed import committed
from s2sw.pipeline.ledger.done import done_objects
from s2sw.pipeline.ledger.lease import Lease
from s2sw.pipeline.ledger.merging import merge, merges
from s2sw.pipeline.ledger.verification import verify
from s2sw.pipeline.ledger.writer import sweep_orphans
from s2sw.pipeline.results.reading import open_results
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.schemas.layout import writer_mark
from s2sw.schemas.storage import StorageSettings
from tests.support.finished_runs import (
    FIRST,
    SECOND,
    SETTINGS,
    config,
    summarise,
    write_old_parts,
    write_parts,
    write_run,
)
from tests.support.rows import quarantined, screened
from tests.support.s3server import S3Server

THIRD = "20260703T010000-cccccc"
OTHER = "e" * 32
OBJECTS = [screened(number, 0.01 * number, 0.5) for number in range(7)] + [quarantined(7), quarantined(8)]
Rows = Counter[tuple[Any, ...]]
COLUMNS = {
    "slices": "object_id, slice_index, run_id, image_score, date, site, fingerprint",
    "objects": "object_id, run_id, status, n_slices, date, site, fingerprint, uri",
}


class Killed(BaseException):
    """Ends a merge at once."""


class Mortal(LocalOutput):
    """An output whose user dies at one of its steps, before or after it is made."""

    def __init__(self, root: Path, dies_at: int, after: bool) -> None:
        super().__init__(root)
        self.steps, self._dies_at, self._after = 0, dies_at, after

    def _step(self, make: Any) -> None:
        self.steps += 1
        if self.steps == self._dies_at and not self._after:
            raise Killed
        make()
        if self.steps == self._dies_at:
            raise Killed

    def write(self, name: str, data: bytes) -> None:
        self._step(lambda: LocalOutput.write(self, name, data))

    def delete(self, name: str) -> None:
        self._step(lambda: LocalOutput.delete(self, name))


def fill(output: OutputFolder, objects: list[FinishedObject] = OBJECTS) -> None:
    """Three runs, one of an earlier version, one with two writers; the last repeats what the first had."""
    write_old_parts(output, objects[:4], FIRST, "north")
    first = len(objects) // 2
    write_parts(output, objects[:first], SECOND, site="south", mark=writer_mark(0, 1))
    write_parts(output, objects[first:], SECOND, site="south", mark=writer_mark(12, 2), start=first)
    write_parts(output, objects[:2], THIRD, fingerprint=OTHER)
    for run_id in (FIRST, SECOND, THIRD):
        write_run(output, summarise([], run_id), config(mode="open"))


def rows(output: OutputFolder) -> dict[str, Rows]:
    """Return every committed row of both tables, but for the name of its part."""
    results = open_results(output.root, fingerprint="all")
    with results.connect() as connection:
        return {
            name: Counter(connection.sql(f"SELECT {text} FROM {name}").fetchall())
            for name, text in COLUMNS.items()
        }


def rows_without_sql(output: OutputFolder) -> dict[str, Rows]:
    """Return the same rows as a dataset of Arrow has them."""
    results = open_results(output.root, fingerprint="all")
    found = {
        name: results.dataset(name).to_table(columns=text.split(", ")).to_pylist()
        for name, text in COLUMNS.items()
    }
    return {name: Counter(tuple(row.values()) for row in table) for name, table in found.items()}


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def merge_all(output: OutputFolder, most: int = 1000) -> int:
    groups = merges(output, most)
    for group in groups:
        merge(output, group, lambda: None)
    return len(groups)


def test_small_parts_of_the_same_settings_become_one(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    fill(output)
    before = rows(output)
    assert before == rows_without_sql(output)
    assert all(count == 1 for table in before.values() for count in table.values())
    assert merge_all(output) == 2  # one of each fingerprint
    assert rows(output) == before == rows_without_sql(output)
    assert len(files(tmp_path / "objects")) == 1 + 1
    assert merge_all(output) == 0, "nothing is left to merge"
    assert list(verify(output, masks=False)) == []
    for path in (tmp_path / "objects").iterdir():
        assert set(pq.read_table(path)["part"].to_pylist()) == {path.name}


def test_rows_are_sorted_by_day_and_score(tmp_path: Path) -> None:
    fill(LocalOutput(tmp_path))
    merge_all(LocalOutput(tmp_path))
    for path in (tmp_path / "slices").iterdir():
        found = [(row["date"], -row["image_score"]) for row in pq.read_table(path).to_pylist()]
        assert found == sorted(found)


def test_parts_keep_to_their_rows_and_large_ones_stay(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    write_parts(output, [screened(n, 0.1, 0.2) for n in range(10)], FIRST, rows=2)
    write_parts(output, [screened(n, *[0.1] * 5) for n in range(2)], SECOND, rows=5)
    assert merge_all(output, 8) == 3
    sizes = sorted(len(pq.read_table(path)) for path in (tmp_path / "slices").iterdir())
    assert sizes == [4, 5, 5, 8, 8]
    assert merge_all(output, 8) == 0


def test_what_is_done_stays_done(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    fill(output)
    before = sorted(done_objects(output, SETTINGS, THIRD).read_all().to_pylist(), key=str)
    merge_all(output)
    assert sorted(done_objects(output, SETTINGS, THIRD).read_all().to_pylist(), key=str) == before


def test_parts_of_a_later_version_and_damaged_ones_are_left_alone(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    write_parts(output, OBJECTS[:4], FIRST, rows=2)
    first, second, *_ = sorted((tmp_path / "slices").iterdir())
    later = pq.read_table(first)
    pq.write_table(later.append_column("new", later["rows"]), first)
    second.write_bytes(second.read_bytes()[:-4])
    merge_all(output)
    assert first.exists()
    assert second.exists()


def test_whatever_step_is_the_last_every_row_is_there_once(tmp_path: Path) -> None:
    few = OBJECTS[4:]
    fill(LocalOutput(tmp_path / "whole"), few)
    expected = rows(LocalOutput(tmp_path / "whole"))
    counting = Mortal(tmp_path / "whole", 0, after=False)
    merge_all(counting)
    assert counting.steps > 15
    after = files(tmp_path / "whole")
    fill(LocalOutput(tmp_path / "filled"), few)
    # before a step is after the one before it
    for dies_at, late in ((1, False), *((step, True) for step in range(1, counting.steps + 1))):
        folder = tmp_path / f"{dies_at}-{late}"
        output = LocalOutput(shutil.copytree(tmp_path / "filled", folder))
        with pytest.raises(Killed):
            merge_all(Mortal(folder, dies_at, late))
        assert rows(output) == expected, "as the merge left it"
        if dies_at % 2:
            sweep_orphans(output)  # a run came next
            assert rows(output) == expected
            assert not [name for name in files(folder / "objects") if "_merge" in name]
        sweep_orphans(output)
        merge_all(output)
        assert rows(output) == expected
        assert not committed(output).orphans
        assert [n for n in files(folder) if "_merge" in n] == []
        if not dies_at % 2:
            assert len(files(folder)) == len(after)


def test_a_file_that_names_others_removes_nothing_else(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path / "out")
    write_parts(output, OBJECTS[:2], FIRST)
    part = f"{FIRST}-00000.parquet"
    (tmp_path / "mine.parquet").write_bytes(b"mine")
    for content in (
        f'{{"part": "{part}", "slices": true, "replaces": ["../../mine.parquet", "{part}", "../runs/x"]}}',
        f'{{"part": "{part}", "slices": true, "replaces": ["{FIRST}-00001.parquet"]}}',
        '{"part": 3, "slices": 1, "replaces": 7}', "[]", "no json",
        '{"part": "a", "slices": 0, "replaces": [[]]}',
    ):  # fmt: skip
        output.write(f"objects/_merge-{FIRST}-00000.json", content.encode())
        before = rows(output)
        sweep_orphans(output)
        assert rows(output) == before
        assert len(before["objects"]) == 2
    assert (tmp_path / "mine.parquet").exists()


KILL_BY_SIGNAL = """
import os, signal, sys
from pathlib import Path
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger.output_key import OutputKey
from s2sw.pipeline.results.compacting import compact
delete = LocalOutput.delete
def die(self, name):
    if name.startswith("objects/2"):
        delete(self, name)
        os.kill(os.getpid(), signal.SIGKILL)
    delete(self, name)
LocalOutput.delete = die
compact(LocalOutput(Path(sys.argv[1])), 1000, False, OutputKey(None))
"""


def test_the_command_takes_up_what_a_killed_one_left(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    fill(output)
    AuditLog(output, None).append("started", THIRD, {"mode": "open"})
    expected = rows(output)
    done = subprocess.run([sys.executable, "-c", KILL_BY_SIGNAL, str(tmp_path)], env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    assert rows(output) == expected
    assert [name for name in files(tmp_path) if "lease" in name]
    again = CliRunner().invoke(app, ["compact", str(tmp_path)])
    assert again.exit_code == 0, again.output
    assert rows(output) == expected
    assert len(files(tmp_path / "objects")) == 2
    log = verify_log(output)
    assert [one for one in log.problems if FIRST not in one and SECOND not in one] == []
    assert log.entries == 1 + 2
    assert "nothing to merge" in CliRunner().invoke(app, ["compact", str(tmp_path)]).output


def test_nobody_merges_while_a_run_works(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    fill(output)
    with Lease(output, THIRD):
        done = CliRunner().invoke(app, ["compact", str(tmp_path)])
    assert done.exit_code == 1
    assert f"run {THIRD}" in done.output
    assert "is working on this output" in done.output


def test_results_of_a_key_are_merged_with_it_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S2SW_ID_KEY", raising=False)
    output, key = LocalOutput(tmp_path / "out"), b"k" * 32
    write_parts(output, OBJECTS[:4], FIRST, rows=2)
    write_run(output, summarise([], FIRST), config())
    AuditLog(output, key).append("started", FIRST, {"mode": "private"})
    command = ["compact", str(tmp_path / "out"), "--private-dir", str(tmp_path / "private")]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 1
    assert "restore the key" in refused.output
    assert CliRunner().invoke(app, command, env={"S2SW_ID_KEY": key.hex()}).exit_code == 0
    log = verify_log(output, key)
    assert (log.sealed, log.problems) == (2, [])


@pytest.mark.integration
def test_parts_on_s3_are_merged_alike(s3: S3Server, tmp_path: Path) -> None:
    remote, local = open_output(f"s3://{s3.bucket()}/out", StorageSettings()), LocalOutput(tmp_path)
    for output in (remote, local):
        fill(output)
        merge_all(output)
    assert rows(remote) == rows(local)
    assert remote.names("objects") == local.names("objects")
