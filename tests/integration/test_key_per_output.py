"""``--key-per-output``: ids that no other output has; later runs and readers find the key untold."""

import shutil
from pathlib import Path

import pytest

from tests.robustness import accounts
from tests.support.archives import encoded, texture
from tests.support.commands import Run, s2sw_here, screen

pytestmark = pytest.mark.integration

PICTURES = 3


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    folder.mkdir()
    for number in range(PICTURES):
        (folder / f"{number}.png").write_bytes(encoded(texture(50, 60, number), "PNG"))
    return folder


def ids(run: Run) -> set[str]:
    assert run.code == 0, run.stderr
    return {row["object_id"] for row in run.objects()}


def test_an_output_with_a_key_of_its_own(source: Path, bundle: Path, tmp_path: Path) -> None:
    def run(output: Path, *options: str) -> Run:
        return screen(tmp_path, source, str(output), *options, bundle=str(bundle))

    shared, own, moved = (tmp_path / name for name in ("shared", "own", "moved"))
    assert ids(run(shared)).isdisjoint(ids(run(own, "--key-per-output")))
    shutil.move(own, moved)
    again = run(moved)  # not told: the results say it
    assert len(ids(again)) == PICTURES
    assert accounts.last_run(again.output)["already_done"] == PICTURES

    verified = s2sw_here("audit", "verify", moved, "--private-dir", again.private, cwd=tmp_path)
    assert verified.returncode == 0, verified.stderr
    assert "4 seals fit" in verified.stdout
    named = s2sw_here(
        "export", moved, "--private-dir", again.private, "--to", tmp_path / "named", "--format", "csv",
        "--reveal", "names", cwd=tmp_path,
    )  # fmt: skip
    assert named.returncode == 0, named.stderr

    refused = run(shared, "--key-per-output")
    assert refused.code == 2
    assert "key_per_output asks for one of its own" in refused.stderr
