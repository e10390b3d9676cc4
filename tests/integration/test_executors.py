"""Ray and a few processes give the same rows, in whatever directory, and fail where nothing is decoded."""

import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import Archive
from tests.robustness import accounts
from tests.support.archives import encoded, texture
from tests.support.commands import RAY, Run, screen
from tests.support.shadows import shadows

pytestmark = pytest.mark.integration

OF_THE_RUN = ("run_id", "part", "attempts")


def rows_of(run: Run) -> list[dict[str, object]]:
    rows = [*run.objects(), *run.slices()]
    return sorted(
        ({name: value for name, value in row.items() if name not in OF_THE_RUN} for row in rows),
        key=lambda row: (str(row["object_id"]), row.get("slice_index", -1), len(row)),
    )


def test_ray_gives_the_same_rows(private_run: Run, archive: Archive, tmp_path: Path) -> None:
    shutil.copytree(private_run.private, tmp_path / "private")  # the same key, so the same ids
    cluster = RAY | {"workers": 1}
    run = screen(
        tmp_path, archive.folder, str(tmp_path / "results"), cluster=cluster, cwd=shadows(tmp_path / "shadow")
    )
    assert run.code == 0, run.stderr
    assert accounts.last_run(run.output)["resources"]["executor"] == "ray"
    assert accounts.last_run(private_run.output)["resources"]["executor"] == "processes"
    assert rows_of(run) == rows_of(private_run)


@pytest.mark.parametrize(
    "executor", [RAY | {"give_up_after": 1}, {"give_up_after": 2}], ids=["ray", "processes"]
)
def test_where_every_process_dies_the_run_fails_and_all_stays_open(
    bundle: Path, tmp_path: Path, executor: dict[str, int]
) -> None:
    source = tmp_path / "archive"
    source.mkdir()
    for number in range(4):
        (source / f"{number}.png").write_bytes(encoded(texture(50, 60, number), "PNG"))
    run = screen(
        tmp_path, source, str(tmp_path / "results"), bundle=str(bundle),
        decode={"limits": {"seconds": 1e-6}},  # each slice takes longer, which ends its process
        cluster=executor | {"workers": 1},
    )  # fmt: skip
    assert run.code == 1
    last = run.stderr.splitlines()[-1]
    assert "the run failed: no object could be decoded: " in last
    assert "to continue, give the same command again" in last
    assert run.stdout == ""
    assert "\x1b" not in run.stderr
    assert run.objects() == []
    assert accounts.last_run(run.output)["outcome"] == "failed"
