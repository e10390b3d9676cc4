"""The audit log: what a check finds, and what nobody can add to it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger.audit import START, STARTED, AuditError, AuditLog, entries, verify
from s2sw.pipeline.ledger.other_key import refuse_other_key
from s2sw.pipeline.privacy.ids import key_id
from s2sw.schemas.config import ScreenConfig, config_hash

KEY = bytes(range(32))
RUN = "20260704T010000-aaaaaa"
RECORD = b'{"listed": 3}'


@pytest.fixture
def output(tmp_path: Path) -> OutputFolder:
    """An output with the log of three runs and the results of the last."""
    folder = LocalOutput(tmp_path / "out")
    log = AuditLog(folder, KEY)
    for run in ("run-1", "run-2", "run-3"):
        log.append(STARTED, run, {"user": "night"})
        log.append("finished", run, {"listed": 3})
    folder.write("objects/run-3-00000.parquet", b"")
    return folder


def path_of(output: OutputFolder, entry: int) -> Path:
    return Path(output.root, "audit", f"{entry:08}.jsonl")


def rewrite(output: OutputFolder, entry: int, **changes: object) -> None:
    content = json.loads(path_of(output, entry).read_bytes()) | changes
    path_of(output, entry).write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n")


def test_a_sound_log_has_no_problems(output: OutputFolder) -> None:
    verdict = verify(output, KEY)
    assert (verdict.problems, verdict.entries, verdict.sealed, verdict.unchecked_seals) == ([], 6, 6, 0)
    found = list(entries(output))
    assert [e["entry"] for e in found] == list(range(6))
    assert found[0]["previous"] == START
    assert {e["key_id"] for e in found} == {key_id(KEY)}
    assert KEY.hex() not in "".join(map(json.dumps, found))


def test_the_next_entry_holds_the_head(output: OutputFolder) -> None:
    head = verify(output).head
    AuditLog(output, KEY).append(STARTED, RUN, {})
    assert list(entries(output))[-1]["previous"] == head
    assert verify(output, KEY, head).problems == []


Change = Callable[[OutputFolder], object]
CHANGES: dict[str, Change] = {
    "changed": lambda o: rewrite(o, 2, listed=4),
    "changed at the end": lambda o: rewrite(o, 5, listed=4),
    "changed by a byte": lambda o: path_of(o, 1).write_bytes(path_of(o, 1).read_bytes() + b" "),
    "emptied": lambda o: path_of(o, 1).write_bytes(b""),
    "removed": lambda o: path_of(o, 3).unlink(),
    "the first removed": lambda o: path_of(o, 0).unlink(),
    "removed, the rest moved up": lambda o: [path_of(o, n + 1).rename(path_of(o, n)) for n in (3, 4)],
    "cut off with results left": lambda o: [path_of(o, n).unlink() for n in (4, 5)],
    "all removed": lambda o: [path_of(o, n).unlink() for n in range(6)],
    "exchanged": lambda o: [path_of(o, a).rename(path_of(o, b)) for a, b in ((2, 9), (3, 2), (9, 3))],
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_tampering_is_found(output: OutputFolder, change: Change) -> None:
    change(output)
    assert verify(output, KEY).problems


def test_an_entry_written_without_the_key_is_found(output: OutputFolder) -> None:
    AuditLog(output, KEY[::-1]).append("finished", "run-9", {})
    rewrite(output, 6, key_id=key_id(KEY))
    (problem,) = verify(output, KEY).problems
    assert "audit/00000006.jsonl: its seal does not fit" in problem


def test_an_entry_without_a_seal_among_sealed_ones_is_found(output: OutputFolder) -> None:
    AuditLog(output, None).append("finished", "run-3", {})
    assert verify(output, KEY).problems == ["1 entries have no seal, the others have"]


def test_without_the_key_seals_are_not_checked_and_it_is_said(output: OutputFolder) -> None:
    verdict = verify(output)
    assert (verdict.problems, verdict.sealed, verdict.unchecked_seals) == ([], 0, 6)


def test_a_cut_off_end_without_results_needs_the_noted_head(output: OutputFolder) -> None:
    AuditLog(output, KEY).append(STARTED, RUN, {})
    head = verify(output, KEY).head
    path_of(output, 6).unlink()
    assert verify(output, KEY).problems == []  # what a hash chain alone cannot see
    (problem,) = verify(output, KEY, head).problems
    assert head in problem


def test_the_runs_own_file_is_bound_to_its_entry(output: OutputFolder) -> None:
    log, name = AuditLog(output, KEY), f"runs/{RUN}.json"
    output.write(name, RECORD)
    log.append(STARTED, RUN, {})
    digest = "1dd386e8c4c2d0f34ca2e2c5ed6abd8dd1fa9ea04e9ad3e4bc5d1eb9b2a9d0f4"
    log.append("finished", RUN, {"record_sha256": digest})
    assert verify(output, KEY).problems == [f"{name}: changed since its run ended"]
    output.delete(name)
    assert verify(output, KEY).problems == [f"{name}: removed since its run ended"]


def test_nobody_writes_an_entry_twice(output: OutputFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path_of(output, 5).read_bytes()
    stale = output.names("audit")[:-1]  # as listed before another process added its entry
    monkeypatch.setattr(output, "names", lambda folder: stale)
    with pytest.raises(AuditError, match="entry 5"):
        AuditLog(output, KEY).append(STARTED, RUN, {})
    assert path_of(output, 5).read_bytes() == before


def test_another_key_or_mode_is_refused(output: OutputFolder, tmp_path: Path) -> None:
    refuse_other_key(output, True, KEY)
    for key in (None, KEY[::-1]):  # a first private run has no key yet
        with pytest.raises(AuditError, match=f"made with key {key_id(KEY)}"):
            refuse_other_key(output, True, key)
    with pytest.raises(AuditError, match="are private, this run is open"):
        refuse_other_key(output, False, None)
    opened = LocalOutput(tmp_path / "open")
    AuditLog(opened, None).append(STARTED, "run-0", {})
    refuse_other_key(opened, False, None)
    for key in (None, KEY):
        with pytest.raises(AuditError, match="are open, this run is private"):
            refuse_other_key(opened, True, key)
    for private in (True, False):
        refuse_other_key(LocalOutput(tmp_path / "new"), private, None)


def test_the_hash_of_a_configuration_counts_everything() -> None:
    values = {"source": "/a", "output": "/b"}
    same = config_hash(ScreenConfig(**values)), config_hash(ScreenConfig(**values, threshold=0.5))
    assert same[0] == same[1]
    for key, value in {"source": "/c", "mode": "open", "private_dir": "/p", "threshold": 0.4}.items():
        assert config_hash(ScreenConfig(**(values | {key: value}))) != same[0]
