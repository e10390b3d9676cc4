"""A run whose private folder lies in object storage: nothing of it stays on the machine that ran."""

import json
from pathlib import Path

import pytest

from tests.robustness import accounts
from tests.support.archives import encoded, texture
from tests.support.commands import s2sw_here, screen
from tests.support.s3server import S3Server

pytestmark = pytest.mark.integration

PICTURES = 3


def test_machines_follow_each_other_with_nothing_of_their_own(
    bundle: Path, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    for number in range(PICTURES):
        s3.client().pipe_file(f"{bucket}/lake/{number}.png", encoded(texture(50, 60, number), "PNG"))
    lake, private = f"s3://{bucket}/lake", f"s3://{bucket}/lake/private"
    output = f"s3://{bucket}/results"
    for machine in ("first", "second"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / machine))
        run = screen(
            tmp_path, lake, output, bundle=str(bundle), private_dir=private, storage={"encryption": "AES256"}
        )
        assert run.code == 0, run.stderr
        own = tmp_path / machine / "s2sw/private"
        assert not [path for path in own.rglob("*") if path.is_file()]
        s3.client().pipe_file(f"{bucket}/lake/new.png", encoded(texture(50, 60, 9), "PNG"))
    assert [row["status"] for row in run.objects()] == ["screened"] * (PICTURES + 1)
    record = accounts.last_run(output)
    assert (record["listed"], record["already_done"]) == (PICTURES + 1, PICTURES)
    assert record["left_out"]["private folder"] > 0

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "third"))
    shown = s2sw_here(
        "export", output, "--format", "csv", "--to", tmp_path / "table", "--reveal", "names",
        "--private-dir", private, cwd=tmp_path,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    table = "".join(path.read_text() for path in (tmp_path / "table").iterdir())
    assert all(f"{lake}/{number}.png" in table for number in range(PICTURES))
    assert json.dumps(private) not in json.dumps(accounts.last_run(output))
    verified = s2sw_here("audit", "verify", output, "--private-dir", private, cwd=tmp_path)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_results_in_the_private_folder_are_refused(bundle: Path, s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.client().pipe_file(f"{bucket}/lake/1.png", encoded(texture(50, 60, 1), "PNG"))
    run = screen(
        tmp_path, f"s3://{bucket}/lake", f"s3://{bucket}/private/results", bundle=str(bundle),
        private_dir=f"s3://{bucket}/private",
    )  # fmt: skip
    assert (run.code, run.stderr.count("\n")) == (2, 1)
    assert "lie in each other" in run.stderr
