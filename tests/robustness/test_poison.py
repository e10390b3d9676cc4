"""Poison on local disk: files that hang their decoder, that are broken, that are gone when they are read."""

from pathlib import Path

import pytest

from s2sw.schemas.outcomes import Reason, Status
from tests.robustness import accounts
from tests.robustness.processes import job_file, screening, until
from tests.robustness.slow_pictures import slow_jpeg2000
from tests.support.archives import dicom_file, encoded, texture
from tests.support.commands import RAY

pytestmark = pytest.mark.integration

FINE = 30
EACH = 2
SLOW = 1  # of them, each of which takes a few times SECONDS
SECONDS = 2  # allowed for one slice; the slow picture takes several times as long
TILES = 5


def fill(folder: Path) -> None:
    folder.mkdir()
    for number in range(FINE):
        (folder / f"{number:02}.png").write_bytes(encoded(texture(50, 60, number), "PNG"))
    slow, cut = slow_jpeg2000(TILES), dicom_file()[:20000]
    for number in range(SLOW):
        (folder / f"slow-{number}.j2k").write_bytes(slow)
    for number in range(EACH):
        (folder / f"cut-{number}.dcm").write_bytes(cut)
        (folder / f"vanished-{number}.png").write_bytes(encoded(texture(50, 60, number), "PNG"))
        (folder / f"changed-{number}.png").write_bytes(encoded(texture(50, 60, number), "PNG"))


def disturb(folder: Path) -> None:
    """Delete and change files that are listed already."""
    for number in range(EACH):
        (folder / f"vanished-{number}.png").unlink()
        (folder / f"changed-{number}.png").write_bytes(encoded(texture(52, 60, number), "PNG"))


@pytest.mark.parametrize("executor", [RAY, {}], ids=["ray", "processes"])
def test_poison_on_local_disk(bundle: Path, ray_temp: Path, tmp_path: Path, executor: dict[str, int]) -> None:
    source, output = tmp_path / "archive", tmp_path / "results"
    fill(source)
    job = job_file(
        tmp_path,
        source=str(source),
        output=str(output),
        private_dir=str(tmp_path / "private"),
        bundle=str(bundle),
        mode="open",
        profile="none",
        decode={"limits": {"seconds": SECONDS}},
        cluster=executor | {"workers": 2, "actors": 1, "temp_dir": str(ray_temp)},
    )
    with screening(job) as run:
        # the to-do list is there before Ray is, and nothing is read before that
        until(lambda: list(tmp_path.glob("private/*/crosswalk/*/*.parquet")), "the to-do list")
        disturb(source)
        assert run.wait() == 0, run.stderr
    reasons = {
        "slow-{}.j2k": Reason.WORKER_CRASHED,
        "cut-{}.dcm": Reason.TRUNCATED,
        "vanished-{}.png": Reason.NOT_FOUND,
        "changed-{}.png": Reason.CHANGED,
    }
    poison = {
        name.format(number): (Status.QUARANTINED.value, reason.value)
        for name, reason in reasons.items()
        for number in range(SLOW if reason is Reason.WORKER_CRASHED else EACH)
    }
    fine = dict.fromkeys((f"{number:02}.png" for number in range(FINE)), (Status.SCREENED.value, None))
    assert accounts.ends(str(output)) == fine | poison
    document = accounts.last_run(str(output))
    ends = {"screened": FINE, "no_pixels": 0, "quarantined": len(poison), "deferred": 0}
    assert document["by_status"] == ends
    assert (document["missing"], document["duplicates"], document["interrupted"]) == (0, 0, False)
