"""A profile from archive to ranked rows: the same by whatever executor, after a kill, and by a plain loop."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from s2sw.connectors.decode import decode
from s2sw.model import load_detector
from s2sw.model.rarity.combination import combine
from s2sw.model.rarity.features import compared_taps, features_of
from s2sw.pipeline.imaging.tiles import in_colour, shrunk
from s2sw.pipeline.privacy.ids import existing_key, object_ids
from s2sw.pipeline.profile.banks import read_bank
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.profile.ranking import SHOWN, combination_from
from s2sw.pipeline.results.reading import full_map
from s2sw.pipeline.run.profile_building import WHOLE_CHANGES
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import Row
from tests.robustness import accounts
from tests.robustness.canaries import STEM, search
from tests.robustness.processes import until
from tests.support.archives import encoded, texture
from tests.support.commands import COMMAND, RAY, Run, s2sw_here, screen
from tests.support.s3server import S3Server
from tests.support.tiny_dinov2 import tiny as tiny

pytestmark = pytest.mark.integration

PICTURES, FEW = 46, 4
OF_THE_RUN = ("run_id", "part", "attempts")


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of like pictures, the last of them spoilt, and one too small for a group of its own."""
    folder = tmp_path_factory.mktemp("lake")
    for kind, count in ((f"{STEM}LINE", PICTURES), (f"{STEM}FEW", FEW)):
        (folder / kind).mkdir()
        for number in range(count):
            pixels = texture(60, 70, number)
            if number == PICTURES - 1:
                pixels[20:45, 20:50] = np.random.default_rng(1).integers(0, 255, (25, 30, 3))
            (folder / kind / f"{STEM}{number:03}.png").write_bytes(encoded(pixels, "PNG"))
    return folder


@pytest.fixture(scope="module")
def run(lake: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("profiled")
    done = screen(folder, lake, str(folder / "results"), profile="auto", bundle=str(tiny))
    assert done.code == 0, done.stderr
    return done


def rows_of(run: Run) -> list[Row]:
    rows = [*run.objects(), *run.slices()]
    return sorted(
        ({name: value for name, value in row.items() if name not in OF_THE_RUN} for row in rows),
        key=lambda row: (str(row["object_id"]), len(row)),
    )


def folder_of(run: Run) -> ProfileFolder:
    (path,) = (run.private / "profiles").iterdir()
    return ProfileFolder(str(path), StorageSettings())


def test_every_slice_is_ranked_in_its_group(run: Run) -> None:
    rows = run.slices()
    groups = {group.name: group.pictures for group in folder_of(run).read().groups}
    assert sorted(groups.values()) == [PICTURES, PICTURES + FEW]  # the small folder falls back to all
    assert {row["group"] for row in rows} == set(groups)
    for row in rows:
        assert 0 <= row["rank_score"] <= 1
        assert full_map(row).shape == (60, 70)  # without the model
    best = {row["object_id"]: row["rank_score"] for row in rows}
    assert {o["object_id"]: o["max_rank_score"] for o in run.objects()} == best
    record = accounts.last_run(run.output)
    assert record["profile"] == {"fingerprint": folder_of(run).read().fingerprint, "groups": 2}
    assert record["seconds"]["profile"] > 0


def test_ranks_are_those_of_a_loop(run: Run, lake: Path, tiny: Path) -> None:
    """Over the files of the folder, one after another, with all of the bank but the picture itself."""
    folder, key = folder_of(run), existing_key(run.private)
    detector, ids = load_detector(tiny), object_ids(key)
    patches = detector.grid**2
    groups = {group.name: (group, read_bank(folder, group, patches)) for group in folder.read().groups}
    rows = {row["object_id"]: row for row in run.slices()}
    for path in sorted(lake.rglob("*.png"))[::4]:
        stat = path.stat()
        owner = ids(str(path.resolve()), f"{stat.st_mtime_ns:x}-{stat.st_size:x}")
        row = rows[owner]
        group, kept = groups[row["group"]]
        _, slices = decode(path.read_bytes(), DecodeSettings())
        small = next(iter(shrunk(next(iter(slices)).pixels, detector.image_size, [])))
        found, taps = detector.detect_with_patches(in_colour([small[None]]))
        (own,) = features_of(compared_taps(taps))
        allowed = torch.tensor([other != owner for other in kept.owners])
        assert not allowed.all()
        rare = kept.bank.compare(own.description, kept.bank.of_picture(own), allowed)
        assert rare is not None
        expected = combine(combination_from(group), found.score[0], found.token_map[0].flatten(), rare)
        assert row["rank_score"] == pytest.approx(expected.rank, abs=1e-5)
        assert row["rarity_score"] == pytest.approx(expected.rarity, abs=1e-4)
        alike = sorted(
            allowed.nonzero()[:, 0].tolist(), key=lambda at: -own.description @ kept.bank.descriptions[at]
        )
        assert row["similar_pictures"] == [
            {"object_id": kept.owners[at], "slice_index": kept.slices[at]} for at in alike[:SHOWN]
        ]
        tokens = np.frombuffer(row["token_map"], np.float16)
        np.testing.assert_allclose(tokens, expected.tokens, atol=1e-3)  # as they are stored


def test_ray_and_processes_build_and_rank_the_same(run: Run, lake: Path, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    shutil.copy(run.private / "id.key", tmp_path / "private")  # the same ids; the profile is built anew
    cluster = RAY | {"workers": 1}
    again = screen(
        tmp_path, lake, str(tmp_path / "results"), profile="auto", bundle=str(tiny), cluster=cluster
    )
    assert again.code == 0, again.stderr
    assert accounts.last_run(again.output)["resources"]["executor"] == "ray"
    assert folder_of(again).read().fingerprint == folder_of(run).read().fingerprint
    assert rows_of(again) == rows_of(run)


def test_a_killed_run_goes_on_with_its_profile(run: Run, lake: Path, tiny: Path, tmp_path: Path) -> None:
    private, output = tmp_path / "private", tmp_path / "results"
    private.mkdir(mode=0o700)
    shutil.copy(run.private / "id.key", private)
    values = {
        "source": str(lake), "output": str(output), "private_dir": str(private), "bundle": str(tiny),
        "batch_size": 1, "cluster": {"workers": 1}, "parts": {"rows": 1},
        "precision": "fp32",
    }  # fmt: skip
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(values))
    process = subprocess.Popen(
        [COMMAND, "screen", job], cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    until(lambda: process.poll() is not None or list((output / "objects").glob("*.parquet")), "a commit")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    built = next((private / "profiles").glob("*/profile.json"))
    before = built.read_bytes(), built.stat().st_mtime_ns
    done = s2sw_here("screen", job, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (built.read_bytes(), built.stat().st_mtime_ns) == before
    assert rows_of(Run(0, "", "", str(output), private)) == rows_of(run)


def test_a_profile_is_private_and_names_nobody(run: Run) -> None:
    for path in (run.private / "profiles").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file():
            assert search(path.read_bytes()) == []
    written = b"".join(path.read_bytes() for path in Path(run.output).rglob("*") if path.is_file())
    assert search(written + run.stdout.encode() + run.stderr.encode()) == []


def test_results_without_a_profile_go_on_without(lake: Path, tiny: Path, tmp_path: Path) -> None:
    first = screen(tmp_path, lake, str(tmp_path / "results"), bundle=str(tiny))
    assert {row["group"] for row in first.slices()} == {None}
    again = screen(tmp_path, lake, str(tmp_path / "results"), profile="auto", bundle=str(tiny))
    assert again.code == 0, again.stderr
    assert accounts.last_run(again.output)["already_done"] == PICTURES + FEW
    assert not (tmp_path / "private" / "profiles").exists()


def test_a_named_profile_is_built_shown_compared_and_refused(lake: Path, tiny: Path, tmp_path: Path) -> None:
    place = tmp_path / "profile"
    private = ("--private-dir", tmp_path / "private", "--workers", "1")
    built = s2sw_here("profile", "build", lake, "-p", place, "--bundle", tiny, *private, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    shown = s2sw_here("profile", "show", place, cwd=tmp_path)
    assert "weight of rarity" in shown.stdout
    assert "defects found when 5%" in shown.stdout
    assert "whole picture" in shown.stdout
    limits = [
        limit
        for group in ProfileFolder(str(place), StorageSettings()).read().groups
        for limit in group.limits
    ]
    # a picture of two banks counts in both
    assert sum(limit.seeds for limit in limits if limit.whole) > WHOLE_CHANGES
    same = s2sw_here("profile", "compare", place, place, cwd=tmp_path)
    assert f"{PICTURES} | {PICTURES}" in same.stdout
    used = screen(tmp_path, lake, str(tmp_path / "results"), profile=str(place), bundle=str(tiny))
    assert used.code == 0, used.stderr
    assert None not in {row["group"] for row in used.slices()}
    foreign = screen(tmp_path, lake, str(tmp_path / "other"), profile=str(place))
    document = place / "profile.json"
    whole = json.loads(document.read_text())
    whole["profile"]["groups"][0]["weight"] = 0.123
    document.write_text(json.dumps(whole))
    changed = screen(tmp_path, lake, str(tmp_path / "other"), profile=str(place), bundle=str(tiny))
    for refused, words in ((foreign, "another detector"), (changed, "was changed since it was built")):
        assert refused.code == 2
        (line,) = refused.stderr.splitlines()
        assert words in line


def test_a_building_that_was_killed_goes_on_and_gives_the_same_bytes(
    run: Run, lake: Path, tiny: Path, tmp_path: Path
) -> None:
    """Killed while it samples, and again while it seeds defects; the undisturbed one had other workers."""
    private, place = tmp_path / "private", tmp_path / "profile"
    private.mkdir(mode=0o700)
    shutil.copy(run.private / "id.key", private)
    given = ("--bundle", tiny, "--private-dir", private, "--precision", "fp32")
    command = [COMMAND, "profile", "build", lake, "-p", place, *given]
    for stage in ("sampled", "seeded"):
        before = kept_files(private, stage)
        process = subprocess.Popen(
            [*command, "--workers", "1"], cwd=tmp_path, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        until(lambda: process.poll() is not None or len(kept_files(private, stage)) > 2, stage)  # noqa: B023
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert before == {}
        assert not (place / "profile.json").exists()
    before = kept_files(private, "sampled")
    assert len(before) == PICTURES + FEW
    assert search(b"".join(path.read_bytes() for path in before)) == []
    done = s2sw_here(*command[1:], "--workers", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"{PICTURES + FEW} of them by an earlier try" in done.stderr
    assert list(private.glob("*/building-*")) == []
    assert groups_of(place) == groups_of(folder_of(run).address)


def kept_files(private: Path, stage: str) -> dict[Path, int]:
    """Return what a building keeps, and when each was written."""
    return {path: path.stat().st_mtime_ns for path in private.glob(f"*/building-*/{stage}-*/*.arrow")}


def groups_of(profile: str | Path) -> tuple[str, dict[str, bytes]]:
    """Return a profile's fingerprint, and the bytes of its banks."""
    banks = {path.name: path.read_bytes() for path in Path(profile, "groups").iterdir()}
    return ProfileFolder(str(profile), StorageSettings()).read().fingerprint, banks


def test_a_profile_on_s3_is_built_shown_and_used(
    run: Run, lake: Path, tiny: Path, s3: S3Server, tmp_path: Path
) -> None:
    """With the same key it is the one that the run made, and gives the same rows."""
    (tmp_path / "private").mkdir(mode=0o700)
    shutil.copy(run.private / "id.key", tmp_path / "private")
    place = f"s3://{s3.bucket()}/profiles/lake"
    private = ("--private-dir", tmp_path / "private", "--workers", "1", "--precision", "fp32")
    built = s2sw_here("profile", "build", lake, "-p", place, "--bundle", tiny, *private, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    shown = s2sw_here("profile", "show", place, cwd=tmp_path)
    assert folder_of(run).read().fingerprint in shown.stdout
    used = screen(tmp_path, lake, str(tmp_path / "results"), profile=place, bundle=str(tiny))
    assert used.code == 0, used.stderr
    assert rows_of(used) == rows_of(run)
    (bank,) = s3.client().find(f"{place.removeprefix('s3://')}/groups")[:1]
    s3.client().pipe_file(bank, b"changed")
    refused = screen(tmp_path, lake, str(tmp_path / "other"), profile=place, bundle=str(tiny))
    assert refused.code == 2
    (line,) = refused.stderr.splitlines()
    assert "was changed since it was built" in line
