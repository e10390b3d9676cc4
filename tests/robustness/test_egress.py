"""A whole run, S3 included, under a tracer: it connects to this machine and to the S3 server alone."""

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from s2sw.connectors.storage.objects import list_objects, read_object
from s2sw.connectors.storage.s3 import s3_filesystem
from s2sw.connectors.storage.stored import StoredObject
from s2sw.pipeline.privacy.ids import KEY_FILE_ENV, key_id
from s2sw.pipeline.results.reading import open_results
from s2sw.schemas.layout import MARKER
from s2sw.schemas.outcomes import ScreeningError
from s2sw.schemas.storage import StorageSettings
from tests.robustness.canaries import plant, plant_alike, search
from tests.robustness.watching import contents
from tests.support.commands import COMMAND, RAY
from tests.support.s3server import S3Server

pytestmark = pytest.mark.integration

CALLS = re.compile(r"(?:connect|sendto|sendmsg|sendmmsg)\(.*?(sa_family=AF_\w+.*?)\}")
ADDRESS = re.compile(r'inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
PORT = re.compile(r"sin6?_port=htons\((\d+)\)")
LOOPBACK = re.compile(r"(::ffff:)?127\.\d+\.\d+\.\d+|::1")
NAME_SERVICE = 53
KEY = bytes(range(32))


def tracer(trace: Path) -> tuple[list[str | Path], str]:
    """Return what traces a command into a file, or nothing and why: containers often forbid tracing."""
    path = shutil.which("strace")
    if path is None:
        return [], "strace is not installed: apt-get install strace"
    if subprocess.run([path, "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        return [], "this machine does not let processes be traced"
    # with the filter in the kernel, no other call stops its process
    options = ["-f", "--seccomp-bpf", "-qq", "-e", "trace=network", "-e", "signal=none", "-o"]
    return [path, *options, trace], ""


def addresses(trace: str) -> Iterator[tuple[str, int]]:
    """Yield host and port of every address that a process connected or sent to; unix sockets have none."""
    for call in CALLS.finditer(trace):
        found, port = ADDRESS.search(call[1]), PORT.search(call[1])
        if found and port:
            yield found[1] or found[2], int(port[1])


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            'connect(9, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("8.8.8.8")}, 16)',
            ("8.8.8.8", 53),
        ),
        (
            "connect(9, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
            'inet_pton(AF_INET6, "2001:db8::88", &sin6_addr), sin6_scope_id=0}, 28) = -1 ENETUNREACH',
            ("2001:db8::88", 443),
        ),
        (
            'sendto(9, "", 0, 0, {sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("192.0.2.1")})',
            ("192.0.2.1", 9),
        ),
    ],
)
def test_a_foreign_address_would_be_seen(call: str, expected: tuple[str, int]) -> None:
    assert list(addresses(f"1234 {call}")) == [expected]


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let nothing that the tests set help: the switches are the program's own. The key is a secret's file."""
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    (tmp_path / "key").write_text(KEY.hex())
    (tmp_path / "key").chmod(0o400)
    monkeypatch.setenv(KEY_FILE_ENV, str(tmp_path / "key"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_run_on_s3_connects_to_nothing_else(
    bundle: Path, s3: S3Server, credentials: None, tmp_path: Path
) -> None:
    """With nothing but storage and a secret: the bundle lies there, too. Untraced, the rest is checked."""
    canaries = plant(tmp_path / "archive")
    plant_alike(tmp_path / "archive", canaries)
    bucket, private = s3.bucket(), tmp_path / "private"
    s3.client().put(f"{tmp_path / 'archive'}/", f"{bucket}/lake/", recursive=True)
    s3.client().put(f"{bundle}/", f"{bucket}/models/small/", recursive=True)
    job, trace = tmp_path / "job.yaml", tmp_path / "trace"
    values = {
        "source": f"s3://{bucket}/lake/", "output": f"s3://{bucket}/results/", "private_dir": str(private),
        "bundle": f"s3://{bucket}/models/small/", "batch_size": 4, "cluster": RAY | {"workers": 1},
    }  # fmt: skip
    job.write_text(yaml.safe_dump(values))
    traced, why_not = tracer(trace)
    done = subprocess.run(
        [*traced, COMMAND, "screen", job],
        cwd=tmp_path, env=os.environ, capture_output=True, timeout=600, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert list(private.glob("profiles/*/profile.json"))  # a profile was built on the way
    objects = open_results(f"s3://{bucket}/results").objects()
    assert objects["uri"].null_count == len(objects) > len(canaries.named)
    assert search(done.stdout + done.stderr + everything(s3, bucket, tmp_path)) == []
    (record,) = (tmp_path / "results/runs").glob("*.json")
    assert json.loads(record.read_text())["key_id"] == key_id(KEY)
    assert not (private / "id.key").exists()
    if why_not:
        pytest.skip(why_not)
    assert_connected_here(trace, s3)


def assert_connected_here(trace: Path, s3: S3Server) -> None:
    called = set(addresses(trace.read_text(errors="replace")))
    assert ("127.0.0.1", s3.port) in called
    assert len(called) > 5  # Ray's own processes on this machine
    assert {host for host, _ in called if not LOOPBACK.fullmatch(host)} == set()
    assert {port for _, port in called if port == NAME_SERVICE} == set()


def everything(s3: S3Server, bucket: str, folder: Path) -> bytes:
    """Return all that lies in the results on S3, names and values."""
    s3.client().get(f"{bucket}/results/", f"{folder}/results/", recursive=True)
    files = [path for path in (folder / "results").rglob("*") if path.is_file()]
    inside = {path.relative_to(folder / "results").parts[0] for path in files}
    assert inside == {"slices", "objects", "runs", "audit", MARKER}
    return b"".join(str(path.relative_to(folder)).encode() + contents(path) for path in files)


class Elsewhere(BaseHTTPRequestHandler):
    """Answers every request by naming another place for it, as S3 does for a bucket of another region."""

    target = ""
    status = 301

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Location", f"{self.target}/stolen")
        self.send_header("x-amz-bucket-region", "eu-elsewhere-1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Keep no log."""


class Trap(Elsewhere):
    """Counts the requests that reach it."""

    hits = 0

    def do_GET(self) -> None:
        type(self).hits += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_endpoint_is_not_followed(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """The keys are valid: what answers is what is not to be believed."""
    Trap.hits = 0
    with serving(Trap) as trap, serving(Elsewhere) as door:
        monkeypatch.setattr(Elsewhere, "target", trap)
        monkeypatch.setattr(Elsewhere, "status", status)
        settings = StorageSettings(endpoint_url=door, tries=1)
        s3_filesystem.cache_clear()
        for request in (
            lambda: list(list_objects("s3://bucket/lake", settings)),
            lambda: read_object(StoredObject("s3://bucket/lake/a.png", 1, "e", 0.0), settings, 1 << 20),
        ):
            with pytest.raises(ScreeningError):
                request()
    assert Trap.hits == 0


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve HTTP on this machine and give the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
