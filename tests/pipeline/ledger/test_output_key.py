"""The key of an output: the private folder's, or one of its own that the audit log tells how to derive."""

from pathlib import Path

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.ledger.audit import SCOPE, STARTED, AuditError, AuditLog, first_entry
from s2sw.pipeline.ledger.other_key import refuse_other_key
from s2sw.pipeline.ledger.output_key import output_key, run_key
from s2sw.pipeline.privacy.output_scopes import FOLDER
from s2sw.pipeline.privacy.private_dir import Inside
from tests.pipeline.ledger.test_audit import path_of, rewrite

RUN = "20260704T010000-aaaaaa"


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    (tmp_path / "private").mkdir(mode=0o700)
    inside = Inside(tmp_path / "private")
    inside.make_key()
    return inside


def test_a_first_private_run_has_no_key_yet(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    inside, output = Inside(tmp_path / "private"), LocalOutput(tmp_path / "out")
    assert run_key(inside, output, own=True).key is None
    made = run_key(inside, output, own=True, make=True)
    assert made.scope
    assert made.key != inside.key()
    noted = tmp_path / "private" / FOLDER / made.scope
    assert noted.stat().st_mode & 0o777 == 0o600
    assert noted.parent.stat().st_mode & 0o777 == 0o700


def test_outputs_have_keys_of_their_own(inside: Inside, tmp_path: Path) -> None:
    keys = {run_key(inside, LocalOutput(tmp_path / name), own=True, make=True).key for name in "abc"}
    assert len(keys | {inside.key()}) == 4


def test_the_log_says_which_key_it_is(inside: Inside, tmp_path: Path) -> None:
    output = LocalOutput(tmp_path / "out")
    made = run_key(inside, output, own=True, make=True)
    for run in (RUN, RUN):
        AuditLog(output, made.key, made.scope).append(STARTED, run, {})
    assert output_key(inside, output) == made
    assert run_key(inside, output) == run_key(inside, output, own=True) == made
    path_of(output, 0).write_text("{")
    assert output_key(inside, output) == made, "a damaged entry is passed over"


def test_a_shared_key_is_kept(inside: Inside, tmp_path: Path) -> None:
    output = LocalOutput(tmp_path / "out")
    AuditLog(output, inside.key()).append(STARTED, RUN, {})
    assert SCOPE not in (first_entry(output) or {})
    assert output_key(inside, output).key == inside.key()
    with pytest.raises(AuditError, match="key_per_output asks for one of its own"):
        run_key(inside, output, own=True)


def test_another_scope_in_the_log_is_no_key(inside: Inside, tmp_path: Path) -> None:
    output = LocalOutput(tmp_path / "out")
    made = run_key(inside, output, own=True, make=True)
    AuditLog(output, made.key, made.scope).append(STARTED, RUN, {})
    rewrite(output, 0, **{SCOPE: "a" * 26})
    assert output_key(inside, output).key is None
    with pytest.raises(AuditError, match="did not make"):
        run_key(inside, output)
    with pytest.raises(AuditError, match="ids made with key"):
        refuse_other_key(output, True, output_key(inside, output).key)
