"""``s2sw screen --manifest``: rows and ids as of screening the source, and one line for a bad list."""

from pathlib import Path

import pytest

from tests.support.archives import encoded, texture
from tests.support.commands import s2sw_here, screen

pytestmark = pytest.mark.integration


def test_a_list_and_the_source_are_the_same_archive(bundle: Path, tmp_path: Path) -> None:
    lake, output = tmp_path / "lake", str(tmp_path / "results")
    lake.mkdir()
    for number in range(4):
        (lake / f"{number}.png").write_bytes(encoded(texture(50, 60, number), "PNG"))
    (tmp_path / "list.csv").write_text(f"uri\n{lake}/2.png\n{lake}/0.png\n{lake}/gone.png\n")
    run = screen(tmp_path, lake, output, manifest="list.csv", bundle=str(bundle))
    assert run.code == 0, run.stderr
    ends = {row["object_id"]: (row["status"], row["reason"]) for row in run.objects()}
    assert sorted(ends.values()) == [("quarantined", "not_found"), ("screened", None), ("screened", None)]

    whole = screen(tmp_path, lake, output, bundle=str(bundle))
    assert whole.code == 0, whole.stderr
    assert "2 done by earlier runs" in whole.stdout
    assert len(whole.objects()) == 5

    (tmp_path / "twice.csv").write_text(f"uri\n{lake}/2.png\n{lake}/0.png\n{lake}/2.png\n")
    options = ("--manifest", "twice.csv", "-o", output, "--private-dir", "private", "--bundle", bundle)
    refused = s2sw_here("screen", lake, *options, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == (
        "s2sw: manifest: twice.csv: addresses that occur more than once: 1; keep one row of each"
    )
