"""The Slurm script with programs in place of Slurm's and Ray's, the units of systemd, and the S3 policy."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import s3fs

from tests.support.s3server import LIMITED_KEY, LIMITED_SECRET, S3Server

DEPLOY = Path(__file__).parents[2] / "deploy"
FAKES = {
    "scontrol": "printf 'node1\\nnode2\\nnode3\\n'",
    "srun": 'case "$*" in *hostname*) echo 10.0.0.1;; *) echo "key=${S2SW_ID_KEY-none} $*" >> "$LOG";; esac',
    "ray": 'echo "ray $*" >> "$LOG"',
    "s2sw": 'until grep -q -e --exclude "$LOG" 2> /dev/null; do :; done; '
    'echo "key=$S2SW_ID_KEY s2sw $*" >> "$LOG"; test -s "$RAY_AUTH_TOKEN_PATH" || exit 9; exit $CODE',
}


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 0), (1, 1), (4, 4)])
def test_the_slurm_script(tmp_path: Path, code: int, expected: int) -> None:
    programs, log = tmp_path / "bin", tmp_path / "log"
    programs.mkdir()
    for name, body in FAKES.items():
        (programs / name).write_text(f"#!/bin/bash\n{body}\n")
        (programs / name).chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}", "LOG": str(log), "HOME": str(tmp_path), "CODE": str(code),
        "SLURM_JOB_NODELIST": "node[1-3]", "SLURM_JOB_NUM_NODES": "3", "SLURM_CPUS_PER_TASK": "8",
        "SLURM_JOB_ID": "17", "S2SW_JOB": "nightly.yaml", "S2SW_ID_KEY": "secret",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", str(DEPLOY / "slurm/nightly.sbatch")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expected, done.stderr
    lines = log.read_text().splitlines()
    assert "key=secret s2sw screen nightly.yaml --address 10.0.0.1:6379" in lines
    head, workers = (
        next(line for line in lines if f" {where} " in line) for where in ("--head", "--exclude=node1")
    )
    assert head.startswith("key=none --nodes=1 --ntasks=1 --nodelist=node1 --overlap ray start --block")
    assert workers.startswith("key=none --nodes=2 --ntasks=2")
    assert workers.endswith("--address=10.0.0.1:6379")
    assert not list(tmp_path.glob(".s2sw-ray.*"))


def test_units_of_systemd(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text().replace("/opt/s2sw/bin/s2sw", "/bin/true")
        (tmp_path / path.name).write_text(text)
    units = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


ALLOWED = {
    "archive": "list get",
    "results": "list get put delete",
    "models": "get",
    "private": "list get put delete",
    "other": "",
}


@pytest.mark.integration
def test_the_policy_allows_what_a_run_does_and_no_more(tmp_path: Path) -> None:
    with S3Server(tmp_path, (DEPLOY / "s3/policy.json").read_text()) as server:
        admin = server.client()
        limited = s3fs.S3FileSystem(
            key=LIMITED_KEY, secret=LIMITED_SECRET, endpoint_url=server.endpoint, use_listings_cache=False,
            skip_instance_cache=True,
        )  # fmt: skip
        for bucket, allowed in ALLOWED.items():
            admin.call_s3("create_bucket", Bucket=bucket)
            admin.pipe_file(f"{bucket}/x", b"1")
            found = [
                name
                for name, call in (
                    ("list", ("list_objects_v2", {})),
                    ("get", ("get_object", {"Key": "x"})),
                    ("put", ("put_object", {"Key": "y", "Body": b"1", "IfNoneMatch": "*"})),
                    ("delete", ("delete_object", {"Key": "x"})),
                )
                if is_allowed(limited, call[0], Bucket=bucket, **call[1])
            ]
            assert found == allowed.split(), bucket


def is_allowed(client: s3fs.S3FileSystem, operation: str, **arguments: object) -> bool:
    try:
        client.call_s3(operation, **arguments)
    except PermissionError:
        return False
    return True
