"""``s2sw profile`` in one process: what its options ask for, and what it refuses in one line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.schemas.config import GroupSettings
from s2sw.schemas.profile import ProfileRecord, profile_bytes
from tests.pipeline.reports.test_profile_page import group


def written(folder: Path, key_id: str) -> Path:
    record = ProfileRecord(
        detector="dino", bundle="b", precision="fp32", decode="0" * 64, key_id=key_id, created="now",
        updated="later", listed=40, settings=GroupSettings(), groups=(group(),),
    ).named()  # fmt: skip
    folder.mkdir()
    (folder / "profile.json").write_bytes(profile_bytes(record))
    return folder


def test_show_writes_a_page(tmp_path: Path) -> None:
    folder, page = written(tmp_path / "p", "0123"), tmp_path / "page.html"
    done = CliRunner().invoke(app, ["profile", "show", str(folder), "--html", str(page)])
    assert done.exit_code == 0, done.output
    assert "updated later" in done.output
    assert "<svg" in page.read_text()


@pytest.mark.parametrize(
    ("key_id", "arguments", "words"),
    [
        ("0123", ["show", "P", "--html", "page.html", "--pictures", "/a"], "without open ids"),
        ("", ["show", "P", "--pictures", "/a"], "name its file with --html"),
        ("", ["copy", "P", "out"], "--anonymous"),
        ("", ["copy", "P", "out", "--anonymous"], "is not the detector of this profile"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key_id: str, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = written(tmp_path / "p", key_id)
    given = [str(folder) if one == "P" else one for one in arguments]
    done = CliRunner().invoke(app, ["profile", *given])
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "page.html").exists()
