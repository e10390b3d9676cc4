"""What tests share: a home of their own, a real S3 server, and a detector bundle."""

import fcntl
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# the tests' processes share the cores: threads that wait for each other inside a product only take time from
# them. Before torch is imported, which reads it once; what is started by tests inherits it
os.environ.setdefault("OMP_NUM_THREADS", "1")
# some systems forbid Python to keep what it compiles: each of hundreds of processes would compile the project
os.environ["PYTHONDONTWRITEBYTECODE"] = ""

from tests.support.process import restored
from tests.support.s3server import S3Server

sys.dont_write_bytecode = False
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts what runs in its background so
    signal.signal(signal.SIGINT, signal.default_int_handler)

# how long one example takes says how busy the machine is
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")

ISOLATED = (
    "S2SW_ID_KEY", "S2SW_ID_KEY_FILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_REGION",
)  # fmt: skip


COSTLY = ("undisturbed", "private_run")
"""Fixtures that screen an archive: tests that share one stay in one process."""


def _group(item: pytest.Item) -> str:
    needs = getattr(item, "fixturenames", ())
    return next((name for name in COSTLY if name in needs), item.nodeid.partition("::")[0])


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group tests for processes that work side by side; long groups first, so that none ends alone.

    First come those of a costly fixture, then those that start programs. Groups start in this order where
    pytest-xdist is told ``--no-loadscope-reorder``.
    """
    groups = {item: _group(item) for item in items}
    programs = {group for item, group in groups.items() if item.get_closest_marker("integration")}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: (groups[item] not in COSTLY, groups[item] not in programs))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run ungrouped, each costly fixture in every process: the group ends an item's name."""
    grouped = session.config.getoption("loadgroup", False)
    if grouped and any("@" not in item.nodeid for item in session.items):
        raise pytest.UsageError("pytest-xdist does not group tests: its version does not fit pytest's")
    gc.freeze()  # libraries and tests stay: what looks for garbage need not go through a million objects


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the tests a home without keys, caches or credentials of whoever runs them."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        # messages are not wrapped: where a line breaks depends on how long the folder of a test is called
        patch.setenv("COLUMNS", "1000")
        # doubles that travel to processes of Ray are found there
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        patch.setenv("XDG_CACHE_HOME", str(folder / ".cache"))
        # credentials are the environment's or none: the machine's own role is never asked for
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        for name in ISOLATED:
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def disks() -> Iterator[None]:
    """Let this process not wait until disks have what it writes: tests kill processes, and cut no power.

    What is told to the disk, and when, tests/schemas/test_whole_files.py looks at.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Start SeaweedFS once for all tests."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """Let this test, and the processes it starts, reach the S3 server with the right keys."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    with s3_server.fresh_clients():
        yield s3_server


@pytest.fixture(scope="session")
def embedded(home: Path) -> Path:
    """Return the embedded detector's bundle, built once in the tests' own cache."""
    from s2sw.model.detectors.finding import resolve_bundle

    return resolve_bundle("embedded")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle of a small CLIP: for tests of all that is not the detector, quick on any processor.

    Built by the first of the tests' processes that asks for it.
    """
    from tests.support.bundles import bundle

    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder = root / "small-bundle"
    with (root / "small-bundle.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            bundle(root / "unfinished").rename(folder)
    return folder


@pytest.fixture(autouse=True)
def process_settings() -> Iterator[None]:
    """Undo what a run does to its process; fixtures of a module are set up before this one."""
    with restored():
        yield
