"""What an image has to do where it runs: as its account, with a read-only root and without a network."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.robustness import accounts
from tests.support.archives import encoded, nifti_volume, texture
from tests.support.isolated_root import Within

if TYPE_CHECKING:
    from tests.deploy.rehearsal import Image

PICTURES, SLICES = 24, 5
ARCHIVE, RESULTS = "/archive", "/results"
MOUNTED = ("/tmp", "/cache")
"""What the manifests of deploy/kubernetes mount writable, beside /dev/shm."""
CLUSTER = {"workers": 1, "object_store": 200 << 20}
RUNS = {"processes": {"ray_from": 1000}, "ray": {"ray_from": 1}}


def check_image(image: "Image", folder: Path) -> None:
    """Make all checks; ends the process with what is wrong. folder: for the archive and what is written."""
    archive, results = folder / "archive", folder / "results"
    expected = _fill(archive)
    uid, gid = map(int, image.user.split(":"))
    results.mkdir(parents=True)
    within = Within(
        image.root, image.user, "/", image.environment, read_only=True, empty=MOUNTED,
        binds={ARCHIVE: archive, RESULTS: results}, writable=[RESULTS],
    )  # fmt: skip

    _expect(_said(within, image.command), "Usage: s2sw", "the image's own command")
    _expect(_said(within, ["id", "-u"]), f"{uid}\n", "the account")
    _expect(_said(within, ["cat", "/proc/net/dev"]), "lo:", "the loopback interface")
    _expect(_said(within, ["sh", "-c", "touch /opt/s2sw/x 2>&1 || true"]), "Read-only", "the root")
    owned = ["find", "/opt/s2sw", "-uid", str(uid), "-print", "-quit"]
    if found := _said(within, owned):
        sys.exit(f"image-check: the image's account owns {found}")
    for name, cluster in RUNS.items():
        output = results / name
        output.mkdir()
        (output / "job.yaml").write_text(yaml.safe_dump(_job(name, cluster)))
        _own(output, uid, gid)
        _said(within, ["s2sw", "doctor", f"{RESULTS}/{name}/job.yaml"])
        _said(within, ["s2sw", "screen", f"{RESULTS}/{name}/job.yaml"])
        accounts.assert_each_once(str(output / "out"), expected)
        assert {end for end, _ in accounts.ends(str(output / "out")).values()} == {"screened"}
        assert accounts.last_run(str(output / "out"))["resources"]["executor"] == name
        report = ["s2sw", "report", f"{RESULTS}/{name}/out"]
        _expect(_said(within, report), f"{len(expected)}", "the report")


def say(text: str) -> None:
    """Tell what is being done."""
    sys.stdout.write(f"image-check: {text}\n")
    sys.stdout.flush()


def _fill(archive: Path) -> dict[str, int]:
    """Make a small archive; return how many slices each file has."""
    archive.mkdir(parents=True)
    for number in range(PICTURES):
        (archive / f"{number}.png").write_bytes(encoded(texture(60, 80, number), "PNG"))
    (archive / "volume.nii").write_bytes(nifti_volume((32, 30, SLICES), 1))
    return {f"{number}.png": 1 for number in range(PICTURES)} | {"volume.nii": SLICES}


def _job(name: str, cluster: dict[str, int]) -> dict[str, object]:
    return {
        "source": ARCHIVE, "output": f"{RESULTS}/{name}/out", "private_dir": f"{RESULTS}/{name}/private",
        "mode": "open", "profile": "none", "cluster": CLUSTER | cluster,
    }  # fmt: skip


def _own(folder: Path, uid: int, gid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, gid)


def _said(within: Within, command: Sequence[str]) -> str:
    """Return what a command printed; ends this process where the command fails."""
    say(" ".join(command))
    done = within.run(command, capture_output=True)
    if done.returncode:
        sys.exit(f"image-check: it ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _expect(text: str, part: str, what: str) -> None:
    if part not in text:
        sys.exit(f"image-check: {what}: {part!r} is not in:\n{text}")
