"""A driver and its writers on one node, all other work on one that has none of its files; all state on S3."""

import subprocess
from pathlib import Path

import pytest

from s2sw.model import build_bundle
from s2sw.model.bundles.record import RECORD, WEIGHTS
from s2sw.pipeline.privacy.ids import KEY_ENV
from s2sw.pipeline.results.reading import open_results
from tests.robustness import accounts
from tests.robustness.processes import job_file, until
from tests.support.archives import encoded, texture
from tests.support.commands import COMMAND
from tests.support.ray_head import RAY, TOKEN, RayHead, ray_head
from tests.support.s3server import S3Server
from tests.support.separate_node import SeparateNode, can_separate, separate_node
from tests.support.tiny_dinov2 import tiny_dinov2

pytestmark = [pytest.mark.integration, pytest.mark.cluster]

PARTITIONS = 3
PICTURES = 56
"""Enough for a profile of the archive's own."""


def screened(head: RayHead, job: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), "screen", str(job)], cwd=job.parent, env=head.environment | {KEY_ENV: "5e" * 32},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def joined(head: RayHead, node: SeparateNode) -> bool:
    assert not node.said()
    asked = subprocess.run(
        [str(RAY), "status", f"--address={head.address}"], env=head.environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "/2.0 CPU" in asked.stdout


def test_workers_need_no_file_of_the_driver(s3: S3Server, tmp_path: Path) -> None:
    if not can_separate():
        pytest.skip("mount namespaces are not allowed here")
    bucket = s3.bucket()
    for number in range(PICTURES):
        s3.client().pipe_file(f"{bucket}/lake/line/{number}.png", encoded(texture(50, 60, number), "PNG"))
    tiny = build_bundle(tmp_path / "tiny", detector="dino", stem=tiny_dinov2(), image_size=70)
    s3.client().put(f"{tiny}/", f"{bucket}/models/tiny/", recursive=True)

    with ray_head(cpus=0) as head:
        job = job_file(
            tmp_path, source=f"s3://{bucket}/lake/", output=f"s3://{bucket}/results",
            bundle=f"s3://{bucket}/models/tiny/", private_dir=f"s3://{bucket}/private", partitions=PARTITIONS,
            cluster={"address": head.address, "decode_memory": 200 << 20},
        )  # fmt: skip
        home = head.folder / "node"
        alone = s3.environment | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_AUTH_TOKEN_PATH": "",
        }
        with separate_node(head.address, [head.folder, tmp_path], home, alone) as node:
            until(lambda: joined(head, node), "the node", seconds=120)
            done = screened(head, job)
            assert done.returncode == 0, done.stdout + done.stderr
            cached = [Path(path).name for path in node.files(home / "cache/s2sw/bundles")]
            assert sorted(name for name in cached if not name.endswith(".lock")) == sorted((RECORD, WEIGHTS))
            own = open_results(f"s3://{bucket}/results").slices().to_pylist()
            assert len(own) == PICTURES
            assert all(row["rank_score"] is not None for row in own)
            assert not any("private" in path for path in node.files(head.folder))
            record = accounts.last_run(f"s3://{bucket}/results")
            assert [one["left"] for one in record["partitions"]] == [0] * PARTITIONS
            assert (record["listed"], record["missing"], record["duplicates"]) == (PICTURES, 0, 0)
            assert s3.client().find(f"{bucket}/private")
            again = screened(head, job)  # on what lies on S3 alone
            assert again.returncode == 0, again.stdout + again.stderr
            assert accounts.last_run(f"s3://{bucket}/results")["already_done"] == PICTURES

            embedded = job_file(
                tmp_path, job, bundle="embedded", limit=2, output=f"s3://{bucket}/embedded", profile="none"
            )
            done = screened(head, embedded)
            assert done.returncode == 0, done.stdout + done.stderr
            assert accounts.committed(f"s3://{bucket}/embedded") == 2

            local = job_file(tmp_path, embedded, bundle=str(tiny), output=f"s3://{bucket}/local")
            done = screened(head, local)
            assert done.returncode == 1, done.stderr
            assert f"does not see {tiny}: put it on S3" in done.stderr
