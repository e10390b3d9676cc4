"""Sessions go where their sockets fit, and a folder that cannot be used is named."""

from pathlib import Path

import pytest

from s2sw.pipeline.privacy.temporary import ROOM, temporary_root
from s2sw.schemas.errors import UserError


def test_a_short_folder_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert temporary_root("/tmp") == Path("/tmp")


def test_a_name_too_long_for_sockets_gives_a_short_folder(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    assert len(str(temporary_root(str(long)))) <= ROOM


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"cluster.temp_dir: .* {tmp_path}/none"):
        temporary_root(f"{tmp_path}/none")


def test_an_unusable_tmpdir_is_told_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TMPDIR", f"{tmp_path}/none")
    assert temporary_root(None).is_dir()
    assert f"TMPDIR: no temporary files can be made in {tmp_path}/none" in caplog.text
