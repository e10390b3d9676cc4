"""A run whose bundle lies on S3 and whose key is a mounted secret. On Ray: robustness/test_egress.py."""

import json
from pathlib import Path

import pytest

from s2sw.pipeline.privacy.ids import KEY_FILE_ENV, key_id
from tests.support.archives import encoded, texture
from tests.support.commands import screen
from tests.support.s3server import S3Server

pytestmark = pytest.mark.integration

KEY = bytes(range(32))


def test_a_run_with_nothing_but_storage_and_a_secret(
    bundle: Path, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    s3.client().put(f"{bundle}/", f"{bucket}/models/small/", recursive=True)
    for number in range(3):
        s3.client().pipe_file(f"{bucket}/lake/{number}.png", encoded(texture(50, 60, number), "PNG"))
    (tmp_path / "key").write_text(KEY.hex())
    (tmp_path / "key").chmod(0o400)
    monkeypatch.setenv(KEY_FILE_ENV, str(tmp_path / "key"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = screen(
        tmp_path, f"s3://{bucket}/lake/", f"s3://{bucket}/results", bundle=f"s3://{bucket}/models/small/"
    )
    assert run.code == 0, run.stderr
    assert [row["status"] for row in run.objects()] == ["screened"] * 3
    (record,) = s3.client().glob(f"{bucket}/results/runs/*.json")
    assert json.loads(s3.client().cat_file(record))["key_id"] == key_id(KEY)
    assert not (run.private / "id.key").exists()
