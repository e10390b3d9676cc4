"""Screening by what came before: its order, its state from run to run, and what it refuses."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from s2sw.schemas.tables import Row
from tests.robustness.canaries import STEM, search
from tests.support.archives import encoded, texture
from tests.support.commands import Run, s2sw_here, screen
from tests.support.tiny_dinov2 import tiny as tiny

pytestmark = pytest.mark.integration

PICTURES, STRANGE, WARM = 30, (22, 27), 16
CUT = 19


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pictures came into one after another; their names are in another order."""
    folder = tmp_path_factory.mktemp("line") / f"{STEM}LINE"
    folder.mkdir()
    for number in range(PICTURES):
        pixels = texture(60, 70, 1).astype(np.int16)
        pixels += np.random.default_rng(number).integers(-6, 7, pixels.shape, dtype=np.int16)
        if number in STRANGE:
            pixels[20:45, 20:50] = np.random.default_rng(number).integers(0, 255, (25, 30, 3))
        path = folder / f"{STEM}{PICTURES - number:03}.png"
        path.write_bytes(encoded(pixels.clip(0, 255).astype(np.uint8), "PNG"))
        os.utime(path, (1_000_000_000 + 60 * number,) * 2)
    return folder


def screened(folder: Path, line: Path, tiny: Path, name: str, *options: str, **job: object) -> Run:
    return screen(
        folder, line, str(folder / name), "--open", *options, profile="online", bundle=str(tiny), **job
    )


def in_time(run: Run) -> list[Row]:
    """The slices in the order in which the pictures came."""
    at = {row["object_id"]: -int(Path(row["uri"]).stem.removeprefix(STEM)) for row in run.objects()}
    return sorted(run.slices(), key=lambda row: at[row["object_id"]])


def numbers(rows: list[Row]) -> list[tuple[object, ...]]:
    return [(row["image_score"], row["rarity_score"], row["rank_score"], row["token_map"]) for row in rows]


@pytest.fixture(scope="module")
def run(line: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    done = screened(tmp_path_factory.mktemp("online"), line, tiny, "results")
    assert done.code == 0, done.stderr
    return done


def test_pictures_are_ranked_by_those_before_them_and_rows_say_so(run: Run) -> None:
    rows = in_time(run)
    assert len(rows) == PICTURES
    assert {row["depends_on_order"] for row in rows} == {True}
    assert [row["rank_score"] is None for row in rows] == [n < WARM for n in range(PICTURES)]
    ranks = {n: row["rank_score"] for n, row in enumerate(rows) if row["rank_score"] is not None}
    assert min(ranks[n] for n in STRANGE) > max(rank for n, rank in ranks.items() if n not in STRANGE)
    assert "other orders give other rank scores" in run.stderr


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(
    run: Run, line: Path, tiny: Path, tmp_path: Path
) -> None:
    """Stopped twice: between two parts, and after a state was written but not the part that belongs to it."""
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(line.iterdir(), key=lambda one: one.stat().st_mtime)[:CUT]:
        shutil.copy2(path, few)
    job = {"parts": {"seconds": 0.001}}  # a part for nearly every picture
    first = screened(tmp_path, few, tiny, "results", **job)
    assert first.code == 0, first.stderr
    newest = max((tmp_path / "results" / "objects").glob("*.parquet"))
    newest.unlink()
    for path in set(line.iterdir()):
        shutil.copy2(path, few)
    second = screened(tmp_path, few, tiny, "results", **job)
    assert second.code == 0, second.stderr
    assert numbers(in_time(second)) == numbers(in_time(run))


def test_another_order_gives_other_ranks(run: Run, line: Path, tiny: Path, tmp_path: Path) -> None:
    turned = tmp_path / "turned"
    shutil.copytree(line, turned)
    for path in turned.iterdir():
        os.utime(path, (2_000_000_000 - path.stat().st_mtime,) * 2)
    other = screened(tmp_path, turned, tiny, "results")
    expected = {row["image_score"]: row["rank_score"] for row in run.slices()}
    found = {row["image_score"]: row["rank_score"] for row in other.slices()}
    assert found.keys() == expected.keys()
    assert found != expected


def test_the_state_is_private_and_results_without_it_are_refused(run: Run, line: Path, tiny: Path) -> None:
    (folder,) = (run.private / "profiles").glob("*-online")
    paths = list(folder.rglob("*"))
    assert 1 <= sum(path.is_file() for path in paths) <= 2
    for path in (folder, *paths):
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file():
            assert search(path.read_bytes()) == []
    kept = folder.rename(folder.with_name("elsewhere"))
    again = screened(run.private.parent, line, tiny, "results")
    assert again.code == 0, "nothing is left to do, so no state is needed"
    fresh = line / "new.png"
    try:
        fresh.write_bytes(encoded(texture(60, 70, 2), "PNG"))
        refused = screened(run.private.parent, line, tiny, "results")
        assert refused.code != 0
        assert "profile: online: the private folder lacks the state" in refused.stderr
    finally:
        fresh.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        kept.rename(folder)


@pytest.mark.parametrize(
    ("options", "job", "words"),
    [
        (["--force"], {}, "cannot screen again what it knows"),
        (["--partitions", "2"], {}, "leave out --partitions"),
        (["--tile", "64"], {}, "not available with tiles"),
        ([], {"cluster": {"actors": 2}}, "leave out cluster.actors"),
        ([], {"cluster": {"address": "ray://head:10001"}}, "leave out the cluster's address"),
    ],
)
def test_what_would_break_the_order_is_refused(
    line: Path, tiny: Path, tmp_path: Path, options: list[str], job: dict[str, object], words: str
) -> None:
    refused = screened(tmp_path, line, tiny, "results", *options, **job)
    assert refused.code == 2
    (said,) = refused.stderr.splitlines()
    assert said.startswith("s2sw: profile: online")
    assert words in said


def test_the_boundary_says_where_the_state_lies(run: Run) -> None:
    done = s2sw_here("boundary", "check", run.private.parent / "job.yaml", cwd=run.private.parent)
    assert "-online: what came before" in " ".join(done.stdout.split()), done.stdout + done.stderr
