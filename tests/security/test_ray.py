"""Another user of the machine cannot run code through the ports of a Ray that was started for a run."""

import http.client
import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
import ray
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.pipeline.privacy.ray_ports import LOCAL_PORTS, Answer, ask_without_token, can_be_asked
from s2sw.pipeline.run.cluster_address import cluster_address
from s2sw.pipeline.run.ray_token import TOKEN_FILE
from s2sw.pipeline.run.session import ray_session
from s2sw.schemas.config import ClusterSettings
from s2sw.schemas.errors import UserError

CALLS = (
    "InternalKVGcsService/InternalKVKeys",
    "NodeManagerService/GetSystemConfig",
    "ObjectManagerService/Pull",
    "CoreWorkerService/NumPendingTasks",
    "ReporterService/GetTraceback",
)
"""A harmless call of each service of Ray's."""
HEALTHY = "/api/local_raylet_healthz"
"""Tells everybody whether Ray lives, and nothing else."""


SERVERS = {"weed"}
"""Of the tests themselves, which other tests in this process may have started."""


@pytest.fixture
def temp() -> Iterator[Path]:
    """A folder with a short name: Ray puts sockets below it, whose names have 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="s2") as folder:
        yield Path(folder)


def listeners() -> list[tuple[str, str, int]]:
    """Return process, address and port of what this process and those it started listen on."""
    here = psutil.Process()
    found = []
    started = [one for one in here.children(recursive=True) if one.name() not in SERVERS]
    for process in (here, *started):
        name = "this process" if process == here else process.name().removeprefix("ray::")
        found += [
            (name, one.laddr.ip.removeprefix("::ffff:"), one.laddr.port)
            for one in process.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN
        ]
    return found


def calls_answered(port: int) -> dict[str, grpc.StatusCode]:
    """Return what each call without a token came to; services that a port has not are left out."""
    found = {}
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for call in CALLS:
            code = grpc.StatusCode.OK
            try:
                channel.unary_unary(f"/ray.rpc.{call}")(b"", timeout=10)
            except grpc.RpcError as error:
                code = error.code()
            if code not in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE):
                found[call] = code
    return found


def page_status(port: int, path: str, body: bytes | None = None) -> int | None:
    """Return the status of an HTTP answer; None where the port speaks something else."""
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (OSError, http.client.HTTPException):
        return None


@pytest.mark.integration
def test_a_switch_in_the_environment_opens_no_port(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack: authentication switched off by the environment, a job submitted by a stranger."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "known-to-others")
    mark = temp / "mark"
    job = json.dumps({"entrypoint": f"touch {mark}", "submission_id": "stranger"}).encode()
    settings = ClusterSettings(workers=1, object_store=100 << 20, temp_dir=str(temp))
    with ray_session(settings):
        assert ray.get(ray.remote(lambda: 6 * 7).remote()) == 42
        found = listeners()
        assert {ip for _, ip, _ in found} == {"127.0.0.1"}
        asked = 0
        for name, _, port in found:
            answers = calls_answered(port)
            assert set(answers.values()) <= {grpc.StatusCode.UNAUTHENTICATED}, (name, answers)
            statuses = {page_status(port, path) for path in ("/", "/metrics", "/api/job_agent/jobs/")}
            statuses.add(page_status(port, "/api/job_agent/jobs/", job))
            assert statuses <= {None, 401}, (name, statuses)
            asked += bool(answers) or statuses == {401}
        assert asked == len(found), "a port that answers nothing was not tried"
        named = set(LOCAL_PORTS)
        assert {name if name in named else "each worker" for name, _, _ in found} == named
        token = next(temp.glob("s2sw-*")) / TOKEN_FILE
        assert token.stat().st_mode & 0o077 == 0
        assert not mark.exists()
    assert os.environ["RAY_AUTH_MODE"] == "disabled"


@pytest.mark.integration
def test_a_cluster_that_asks_nobody_is_refused_in_private_mode(
    temp: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    start = (
        "import ray, sys\n"
        "ray.init(address='local', num_cpus=1, object_store_memory=100 << 20, include_dashboard=False, "
        "_temp_dir=sys.argv[1])\n"
        "print(ray.get_runtime_context().gcs_address, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", start, str(temp / "ray")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as cluster:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        assert ask_without_token(address) is Answer.OBEYS
        with (
            pytest.raises(UserError, match="asks nobody for a token") as error,
            ray_session(ClusterSettings(address=address), private=True),
        ):
            pass
        assert "\n" not in str(error.value)
        for settings, private in (
            (ClusterSettings(address=address, allow_without_token=True), True),
            (ClusterSettings(address=address), False),
        ):
            caplog.clear()
            with ray_session(settings, private):
                assert ray.is_initialized()
            assert [record.message for record in caplog.records if "asks nobody" in record.message]
        job = temp / "job.yaml"
        job.write_text(f"source: /a\noutput: /b\ncluster: {{address: '{address}'}}\n")
        result = CliRunner().invoke(app, ["boundary", "check", str(job)])
        assert result.exit_code == 1
        assert f"{address}: asks nobody for a token" in result.stdout
        assert "start it with RAY_AUTH_MODE=token" in result.stdout
        assert cluster.stdin is not None
        cluster.stdin.close()


def test_the_boundary_names_every_port() -> None:
    result = CliRunner().invoke(app, ["boundary", "check", "/archive", "-o", "/results"])
    for process in LOCAL_PORTS:
        assert f"{process}: 127.0.0.1, a free port, asks for a token" in result.stdout


def test_auto_is_no_cluster_that_somebody_else_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    noted = tmp_path / "ray_current_cluster"
    monkeypatch.setattr("ray._private.utils.get_ray_address_file", lambda _: str(noted))
    with pytest.raises(UserError, match="auto finds no Ray"):
        cluster_address("auto")
    noted.write_text("127.0.0.1:6379\n")
    assert cluster_address("auto") == "127.0.0.1:6379"
    noted.chmod(0o666)
    with pytest.raises(UserError, match="auto finds no Ray"):
        cluster_address("auto")
    noted.chmod(0o644)
    target = noted.rename(tmp_path / "elsewhere")
    noted.symlink_to(target)
    with pytest.raises(UserError, match="auto finds no Ray"):
        cluster_address("auto")
    noted.unlink()
    if os.getuid() == 0:
        noted.write_text("127.0.0.1:6379\n")
        os.chown(noted, 12345, 12345)
        with pytest.raises(UserError, match="auto finds no Ray"):
            cluster_address("auto")
    monkeypatch.setenv("RAY_ADDRESS", "ray.example:6379")
    assert cluster_address("auto") == "ray.example:6379"
    assert cluster_address("host:1") == "host:1"


def test_which_addresses_can_be_asked() -> None:
    assert [can_be_asked(address) for address in ("host:6379", "auto", "ray://host:1", "host")] == [
        True, False, False, False,
    ]  # fmt: skip
