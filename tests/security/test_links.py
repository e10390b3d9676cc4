"""Links in an archive do not have files screened that lie elsewhere."""

from collections import Counter
from pathlib import Path

import pytest

from s2sw.pipeline.listing.source import LINK_OUT, listing
from s2sw.schemas.config import ScreenConfig


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A source with a picture, a link to it, and links to what lies outside."""
    source, outside = tmp_path / "archive", tmp_path / "home"
    source.mkdir()
    (outside / "scans").mkdir(parents=True)
    for path in (source / "own.png", outside / "secret.png", outside / "scans" / "other.png"):
        path.write_bytes(b"x")
    (source / "inside.png").symlink_to(source / "own.png")
    (source / "absolute.png").symlink_to(outside / "secret.png")
    (source / "relative.png").symlink_to("../home/secret.png")
    (source / "twice.png").symlink_to(source / "absolute.png")
    (source / "folder").symlink_to(outside / "scans")
    return source


def listed(archive: Path, **options: bool) -> tuple[set[str], Counter[str]]:
    left_out: Counter[str] = Counter()
    config = ScreenConfig.model_validate(
        {"source": str(archive), "output": str(archive.parent / "out"), **options}
    )
    return {Path(one.uri).name for one in listing(config, left_out)}, left_out


def test_links_out_of_the_source_are_left_out_and_counted(archive: Path) -> None:
    names, left_out = listed(archive)
    assert {"own.png", "inside.png"} <= names
    assert not names & {"absolute.png", "relative.png", "twice.png", "other.png"}
    assert left_out[LINK_OUT] >= 3


def test_they_are_followed_where_it_is_allowed(archive: Path) -> None:
    names, left_out = listed(archive, follow_links=True)
    assert {"own.png", "inside.png", "absolute.png", "relative.png", "twice.png"} <= names
    assert not left_out
    assert "other.png" not in names, "links to folders never are"


def test_the_source_itself_may_be_a_link(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "today").symlink_to(archive)
    names, _ = listed(tmp_path / "today")
    assert {"own.png", "inside.png"} <= names
