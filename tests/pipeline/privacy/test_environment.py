"""What a run sets before anything else: switches, rights, and no core dumps."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from s2sw.pipeline.privacy.environment import LOOPBACK_RAY, NO_METADATA, OFFLINE, enter, local_environment
from s2sw.pipeline.privacy.ids import KEY_ENV, KEY_FILE_ENV
from s2sw.schemas.config import ScreenConfig

CONFIG = {"source": "/a", "output": "/b"}


def test_every_switch_is_set_whatever_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    enter(ScreenConfig(**CONFIG, mode="open"))
    assert {name: os.environ[name] for name in OFFLINE} == OFFLINE
    assert os.environ[NO_METADATA] == "true"


def test_metadata_is_asked_for_a_configured_role_only() -> None:
    enter(ScreenConfig(**CONFIG, mode="open", storage={"instance_role": True}))
    assert os.environ[NO_METADATA] == "false"


def test_private_mode_closes_files_and_core_dumps(tmp_path: Path) -> None:
    os.umask(0)
    enter(ScreenConfig(**CONFIG))
    (tmp_path / "file").touch()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
    code = (
        "import resource; print(resource.getrlimit(resource.RLIMIT_CORE)); "
        "print(open('/proc/self/coredump_filter').read())"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.split() == ["(0,", "0)", "00000000"]


def test_open_mode_leaves_rights_alone(tmp_path: Path) -> None:
    os.umask(0o022)
    enter(ScreenConfig(**CONFIG, mode="open"))
    (tmp_path / "file").touch()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_processes_of_ray_get_no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(KEY_ENV, "5a" * 32)
    monkeypatch.setenv(KEY_FILE_ENV, "/mounted/key")
    before = dict(os.environ)
    with local_environment(tmp_path):
        assert not {KEY_ENV, KEY_FILE_ENV} & set(os.environ)
        assert (os.environ[LOOPBACK_RAY], os.environ["TMPDIR"]) == ("0", str(tmp_path))
    assert dict(os.environ) == before


def test_the_switches_are_set_before_their_libraries_are_imported() -> None:
    code = (
        "import sys; from s2sw.pipeline.privacy.environment import enter; "
        "print({'ray', 'torch', 'huggingface_hub', 'open_clip', 's3fs', 'botocore'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_one_place_closes_files() -> None:
    """Commands that read private results ask for it (``jobs.reading.protect``) and do nothing themselves."""
    root = Path(__file__).parents[3]
    folders = ("jobs", "pipeline", "connectors", "model", "schemas")
    files = [path for folder in folders for path in (root / folder).rglob("*.py")]
    assert [path.name for path in files if "umask(" in path.read_text()] == ["environment.py"]
    reading = (root / "jobs").glob("*.py")
    writers = {path.stem for path in reading if "protect(" in path.read_text()}
    assert writers == {"reading", "report", "review", "worklist", "export", "compact"}
