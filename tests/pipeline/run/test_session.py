"""What the stages may use, and a Ray of one's own that leaves nothing behind."""

import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import ray
import torch

from s2sw.pipeline.ledger.process_mark import process_mark
from s2sw.pipeline.run import session
from s2sw.pipeline.run.executor import RunFailedError
from s2sw.pipeline.run.interruption import Interruption
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.run.session import ray_session, started
from s2sw.pipeline.run.session_folder import FOLDER_PREFIX, OWNER, wipe_abandoned
from s2sw.schemas.config import ClusterSettings
from s2sw.schemas.errors import UserError

needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@needs_no_gpu
def test_without_a_gpu_a_large_detector_has_all_cores() -> None:
    plan = plan_resources(ClusterSettings(workers=6), "auto", 1 << 30)
    assert (plan.device, plan.actors, plan.gpus_per_actor, plan.threads) == ("cpu", 1, 0, 6)
    assert plan.decode_tasks == 6


@needs_no_gpu
def test_without_a_gpu_a_small_detector_has_a_core_each() -> None:
    plan = plan_resources(ClusterSettings(workers=6), "auto", 40 << 20)
    assert (plan.actors, plan.threads) == (6, 1)


def test_a_cluster_without_gpus_keeps_its_cpus_for_decoders() -> None:
    plan = plan_resources(ClusterSettings(address="auto", actors=2), "cpu")
    assert plan.actors * plan.cpus_per_actor < 1


def test_several_actors_share_the_cores() -> None:
    plan = plan_resources(ClusterSettings(workers=6, actors=2, max_actors=3), "cpu")
    assert (plan.actors, plan.max_actors, plan.threads) == (2, 3, 3)


@needs_no_gpu
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match="device: cuda"):
        plan_resources(ClusterSettings(), "cuda")


@pytest.fixture
def temp() -> Iterator[Path]:
    """A folder with a short name: Ray puts sockets below it, whose names have 107 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="s2") as folder:
        yield Path(folder)


def listening_hosts() -> set[str]:
    """Return the addresses on which this process and those that it started listen."""
    here = psutil.Process()
    started = here.children(recursive=True)
    assert {"gcs_server", "raylet"} <= {process.name() for process in started}
    connections = [one for process in (here, *started) for one in process.net_connections("tcp")]
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}


def assert_spills_into(session: Path) -> None:
    """Fill the object store twice over; what it has no room for must lie in the private folder."""
    mark = b"pixels of somebody"
    held = [ray.put(np.frombuffer(mark * (1 << 20), np.uint8)) for _ in range(11)]
    spilled = [path for path in session.rglob("*") if path.is_file() and path.stat().st_size > 10 << 20]
    with spilled[0].open("rb") as file:
        assert mark in file.read(1 << 20)
    assert sum(path.stat().st_size for path in spilled) >= (len(held) * len(mark) << 20) - (100 << 20)


def catches(number: signal.Signals) -> bool:
    """Tell whether this process has a handler for a signal, whatever Python believes."""
    caught = int(Path("/proc/self/status").read_text().split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (number - 1) & 1)


def assert_sigterm_is_left_alone() -> None:
    """Ray's own handler would set an alarm that aborts the process after three seconds."""
    before, _ = signal.getitimer(signal.ITIMER_REAL)  # the test's own limit of time
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
    after, _ = signal.getitimer(signal.ITIMER_REAL)
    assert after == pytest.approx(before, abs=2)


def test_what_a_dying_process_writes_is_wiped_later(temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    abandoned = temp / f"{FOLDER_PREFIX}dead"
    (abandoned / "ray").mkdir(parents=True)
    (abandoned / OWNER).write_text(json.dumps({**process_mark(), "boot": "an earlier boot"}))
    remove = shutil.rmtree

    def removing_while_somebody_writes(folder: str, ignore_errors: bool, dir_fd: int) -> None:
        remove(folder, ignore_errors=ignore_errors, dir_fd=dir_fd)
        (abandoned / folder).mkdir()
        (abandoned / folder / "late.log").touch()

    settings = ClusterSettings(temp_dir=str(temp))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", removing_while_somebody_writes)
        wipe_abandoned(settings)
    assert (abandoned / "ray" / "late.log").exists()
    wipe_abandoned(settings)
    assert list(temp.iterdir()) == []


def test_what_is_made_again_after_it_was_removed_is_wiped(temp: Path) -> None:
    """Only folders that hold a session of Ray, or nothing where they cannot be being made."""
    old = time.time() - 3600
    for name, file in (
        ("remade", "ray/session_1/logs/late.log"),
        ("results", "ray/objects/part.parquet"),
        ("mixed", "ray/session_1/late.log"),
    ):
        (temp / f"{FOLDER_PREFIX}{name}" / file).parent.mkdir(parents=True)
        (temp / f"{FOLDER_PREFIX}{name}" / file).touch()
    (temp / f"{FOLDER_PREFIX}mixed" / "notes.txt").touch()
    (temp / f"{FOLDER_PREFIX}a1b2c3_4").mkdir()  # its run was killed before it had an owner
    (temp / f"{FOLDER_PREFIX}of-a-user").mkdir()
    settings = ClusterSettings(temp_dir=str(temp))
    wipe_abandoned(settings)
    assert {folder.name.removeprefix(FOLDER_PREFIX) for folder in temp.iterdir()} == {
        "results", "mixed", "a1b2c3_4", "of-a-user",
    }  # fmt: skip
    for folder in temp.iterdir():
        os.utime(folder, (old, old))
    wipe_abandoned(settings)
    assert {folder.name.removeprefix(FOLDER_PREFIX) for folder in temp.iterdir()} == {
        "results", "mixed", "of-a-user",
    }  # fmt: skip


@pytest.mark.integration
def test_a_session_is_private_and_leaves_nothing(temp: Path) -> None:
    abandoned, foreign = temp / f"{FOLDER_PREFIX}dead", temp / f"{FOLDER_PREFIX}living"
    for folder, mark in (
        (abandoned, {**process_mark(), "boot": "an earlier boot"}),
        (foreign, process_mark()),
    ):
        folder.mkdir()
        (folder / OWNER).write_text(json.dumps(mark))
    settings = ClusterSettings(workers=1, object_store=100 << 20, temp_dir=str(temp))
    with Interruption(), contextlib.ExitStack() as stack:
        stack.enter_context(ray_session(settings))
        assert ray.is_initialized()
        (session,) = set(temp.iterdir()) - {foreign}
        assert session.stat().st_mode & 0o077 == 0
        assert {node["NodeManagerAddress"] for node in ray.nodes()} == {"127.0.0.1"}
        assert listening_hosts() <= {"127.0.0.1", "::ffff:127.0.0.1"}
        assert_spills_into(session)
        assert_sigterm_is_left_alone()
        stack.close()
        assert not ray.is_initialized()
        assert catches(signal.SIGTERM), "at its end Ray sets the default, by which a signal would end the run"
    assert list(temp.iterdir()) == [foreign]


def test_a_number_that_ray_would_abort_on_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_health_check_period_ms", "soon")
    with (
        pytest.raises(UserError, match="RAY_health_check_period_ms: 'soon' is no number"),
        started(ClusterSettings()),
    ):
        pass


def test_an_address_where_nobody_listens_is_refused_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = ClusterSettings(address=f"127.0.0.1:{port}")
    with pytest.raises(RunFailedError, match=f"nobody answers at 127.0.0.1:{port}"), started(settings):
        pass


@pytest.mark.parametrize(("failures", "ends_well"), [(1, True), (2, False)])
def test_a_start_during_which_the_machine_slept_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch, failures: int, ends_well: bool
) -> None:
    starts: list[None] = []

    @contextlib.contextmanager
    def late(settings: ClusterSettings, private: bool) -> Iterator[None]:
        starts.append(None)
        if len(starts) <= failures:
            raise RuntimeError("The current node timed out during startup. See the logs of the raylet.")
        yield

    monkeypatch.setattr(session, "ray_session", late)
    ends = contextlib.nullcontext() if ends_well else pytest.raises(RunFailedError, match="timed out")
    with ends, started(ClusterSettings()):
        pass
    assert len(starts) == 2
