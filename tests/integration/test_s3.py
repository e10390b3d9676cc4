"""The same archive on a real S3 server: the same scores, and the results on S3 too."""

from pathlib import Path

import numpy as np
import pytest

from s2sw.pipeline.results.reading import full_map
from tests.integration.conftest import Archive
from tests.support.commands import Run, s2sw_here, screen
from tests.support.s3server import S3Server

pytestmark = pytest.mark.integration


def test_s3_gives_the_same_scores_as_local_files(
    private_run: Run, names: dict[str, str], archive: Archive, s3: S3Server, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    s3.client().put(f"{archive.folder}/", f"{bucket}/lake/ward/", recursive=True)
    source, output = f"s3://{bucket}/lake/", f"s3://{bucket}/results"
    run = screen(tmp_path, source, output, mode="open")
    assert run.code == 0, run.stderr

    uris = {row["object_id"]: row["uri"].removeprefix(f"{source}ward/") for row in run.objects()}
    assert sorted(uris.values()) == sorted(archive.expected)
    local_ends = {names[row["object_id"]]: (row["status"], row["reason"]) for row in private_run.objects()}
    assert {uris[row["object_id"]]: (row["status"], row["reason"]) for row in run.objects()} == local_ends

    local = {(names[row["object_id"]], row["slice_index"]): row for row in private_run.slices()}
    remote = {(uris[row["object_id"]], row["slice_index"]): row for row in run.slices()}
    assert local.keys() == remote.keys()
    for place, row in remote.items():
        assert row["image_score"] == pytest.approx(local[place]["image_score"], abs=1e-6)
        np.testing.assert_allclose(full_map(row), full_map(local[place]), atol=1e-3)

    parts = s3.client().find(f"{bucket}/results/objects") + s3.client().find(f"{bucket}/results/slices")
    again = screen(tmp_path, source, output, mode="open")
    assert again.code == 0, again.stderr
    assert f"{len(archive.expected)} done by earlier runs" in again.stdout
    assert (
        s3.client().find(f"{bucket}/results/objects") + s3.client().find(f"{bucket}/results/slices") == parts
    )


def test_wrong_keys_are_refused_with_one_line(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    s3.client().pipe_file(f"{bucket}/lake/a.png", b"data")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    private = tmp_path / "private"
    done = s2sw_here(
        "screen", f"s3://{bucket}/lake", "-o", tmp_path / "results", "--private-dir", private, cwd=tmp_path
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"s2sw: source: cannot list s3://{bucket}/lake")
    assert "AWS_SECRET_ACCESS_KEY" in line
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
