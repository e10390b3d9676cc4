"""The key of an output cannot be chosen by whoever may write to it, and no two outputs get the same."""

import shutil
from pathlib import Path

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger.audit import SCOPE, STARTED, AuditError, AuditLog
from s2sw.pipeline.ledger.other_key import refuse_other_key
from s2sw.pipeline.ledger.output_key import OutputKey, output_key, run_key
from s2sw.pipeline.privacy.ids import key_id
from s2sw.pipeline.privacy.output_scopes import FOLDER
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.run_record import RunSummary
from tests.pipeline.ledger.test_audit import rewrite
from tests.support.finished_runs import write_run

RUN = "20260704T010000-aaaaaa"
ENTRY = "audit/00000000.jsonl"


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    monkeypatch.delenv("S2SW_ID_KEY", raising=False)
    return private(tmp_path / "private")


def private(folder: Path) -> Inside:
    folder.mkdir(mode=0o700)
    Inside(folder).make_key()
    return Inside(folder)


def screened(inside: Inside, root: Path) -> OutputKey:
    """Leave the start of a run with a key of its own, and its record."""
    output = LocalOutput(root)
    made = run_key(inside, output, own=True, make=True)
    AuditLog(output, made.key, made.scope).append(STARTED, RUN, {})
    detector = {"detector": "winclip", "prompts": "p", "trained": True}
    summary = RunSummary(RUN, "f", detector, "2026-07-04T01:00:00+00:00", key_id(made.key or b""))
    write_run(output, summary, ScreenConfig(source="/s", output=str(root)))
    return made


def refused(inside: Inside, root: Path, match: str) -> None:
    with pytest.raises(AuditError, match=match) as caught:
        refuse_other_key(LocalOutput(root), True, run_key(inside, LocalOutput(root)).key)
    assert "\n" not in str(caught.value)


def test_the_same_words_in_two_folders(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attack: ``-o results`` gave one key in all working folders."""
    keys = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        keys.add(screened(inside, Path("results")).key)
    assert len(keys) == 2


def test_a_new_output_where_another_was(inside: Inside, tmp_path: Path) -> None:
    """The attack: results given away shared ids with those made next at their old place."""
    given = screened(inside, tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "given")
    assert screened(inside, tmp_path / "out").key != given.key
    assert run_key(inside, LocalOutput(tmp_path / "given"), make=True) == given


def test_a_removed_log_does_not_choose_the_shared_key(inside: Inside, tmp_path: Path) -> None:
    screened(inside, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "audit")
    refused(inside, tmp_path / "out", "no audit log")
    with pytest.raises(AuditError, match="no audit log"):
        refuse_other_key(LocalOutput(tmp_path / "out"), True, None)  # key_per_output: none made yet


def test_objects_without_log_and_record_are_refused(inside: Inside, tmp_path: Path) -> None:
    LocalOutput(tmp_path / "out").write(f"objects/{RUN}-00000.parquet", b"")
    refused(inside, tmp_path / "out", "no audit log")


def test_a_log_of_the_shared_key_in_place_of_the_own_one(inside: Inside, tmp_path: Path) -> None:
    own = screened(inside, tmp_path / "out")
    AuditLog(LocalOutput(tmp_path / "shared"), inside.key()).append(STARTED, RUN, {})
    shutil.copy(tmp_path / "shared" / ENTRY, tmp_path / "out" / ENTRY)
    refused(inside, tmp_path / "out", f"made with key {key_id(own.key or b'')}")


def test_an_entry_without_a_seal_does_not_choose(inside: Inside, tmp_path: Path) -> None:
    output = LocalOutput(tmp_path / "out")
    AuditLog(output, inside.key()).append(STARTED, RUN, {})
    rewrite(output, 0, seal="")
    refused(inside, tmp_path / "out", "no seal that fits")


def test_the_log_of_another_output_does_not_choose(inside: Inside, tmp_path: Path) -> None:
    """The attack: a copy of one output's first entry gave its ids to another."""
    screened(inside, tmp_path / "a")
    (tmp_path / "b" / "audit").mkdir(parents=True)
    shutil.copy(tmp_path / "a" / ENTRY, tmp_path / "b" / ENTRY)
    for make in (False, True):
        with pytest.raises(AuditError, match="names the key of the output"):
            run_key(inside, LocalOutput(tmp_path / "b"), make=make)


def test_a_log_of_an_output_that_moved_and_was_used_since(inside: Inside, tmp_path: Path) -> None:
    made = screened(inside, tmp_path / "a")
    shutil.copytree(tmp_path / "a" / "audit", tmp_path / "b" / "audit")
    (tmp_path / "a").rename(tmp_path / "moved")
    assert run_key(inside, LocalOutput(tmp_path / "moved"), make=True) == made
    refused(inside, tmp_path / "b", "names the key of the output")
    (inside.folder / FOLDER / made.scope).write_bytes(b"")  # as the message says
    assert run_key(inside, LocalOutput(tmp_path / "b")) == made


def test_results_from_elsewhere_need_their_private_folder(inside: Inside, tmp_path: Path) -> None:
    screened(private(tmp_path / "other"), tmp_path / "out")
    assert output_key(inside, LocalOutput(tmp_path / "out")).key is None
    refused(inside, tmp_path / "out", "--private-dir")


@pytest.mark.parametrize("scope", ["../id.key", "", "A" * 26, "a" * 25, "a" * 26 + "\n", 7, ["a"], {}])
def test_a_scope_has_a_form(inside: Inside, tmp_path: Path, scope: object) -> None:
    screened(inside, tmp_path / "out")
    rewrite(LocalOutput(tmp_path / "out"), 0, **{SCOPE: scope})
    refused(inside, tmp_path / "out", "not 26 characters")
    with pytest.raises(AuditError, match="not 26 characters"):
        output_key(inside, LocalOutput(tmp_path / "out"))
