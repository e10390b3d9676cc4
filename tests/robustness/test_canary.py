"""Words planted in every place of an archive that can hold text: none is found outside the crosswalk."""

import hashlib
import json
import os
import re
import secrets
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from numpy.typing import NDArray

from s2sw.pipeline.privacy.ids import KEY_ENV
from s2sw.pipeline.results.reading import open_results
from tests.robustness.canaries import (
    NUMBER_STEM,
    STEM,
    Canaries,
    pixels_of_noise,
    plant,
    plant_alike,
    search,
    spellings,
)
from tests.robustness.processes import until
from tests.robustness.watching import Watcher, contents, kill_one
from tests.support.commands import COMMAND, RAY

pytestmark = pytest.mark.integration


REASONS = {"empty", "malformed", "truncated", "unknown_format", "unsupported", "unsafe_member"}
PLACES = {
    "source": "archive",
    "output": "results",
    "private_dir": "private",
    "metrics_file": "results/s2sw.prom",
}


@dataclass(frozen=True)
class Watched:
    """A finished run over planted words, and what was seen of it while it ran."""

    canaries: Canaries
    folder: Path
    watcher: Watcher
    code: int
    said: str
    key: str
    alike: list[NDArray[np.uint8]]

    @property
    def output(self) -> str:
        """Where the results are."""
        return str(self.folder / "results")


@pytest.fixture(scope="module")
def watched(bundle: Path) -> Iterator[Watched]:
    """Run once, under a permissive umask, with the key in the environment; kill the detector on the way."""
    with tempfile.TemporaryDirectory(prefix="s2") as folder:  # Ray's sockets need a short name
        yield _run(Path(folder), bundle)


def _run(folder: Path, bundle: Path) -> Watched:
    canaries = plant(folder / "archive")
    alike = plant_alike(folder / "archive", canaries)
    key = secrets.token_hex(32)
    for name in ("home", "temp"):
        (folder / name).mkdir(mode=0o700)
    values = {
        **{name: str(folder / place) for name, place in PLACES.items()},
        "bundle": str(bundle),
        "batch_size": 4,
        "groups": {
            "columns": ["modality", "body_part", "view", "laterality", "plane", "series", "site"],
            "site": "/(?P<site>[^/]+)/[^/]+$",
        },
        "parts": {"seconds": 0.5},
        "partitions": 2,
        "cluster": RAY | {"workers": 2, "actors": 1, "temp_dir": str(folder / "temp")},
    }
    job = folder / "job.yaml"
    job.write_text(yaml.safe_dump(values))
    environment = os.environ | {KEY_ENV: key, "HOME": str(folder / "home")}
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            [COMMAND, "screen", job, "--log-format", "json"],
            cwd=folder,
            env=environment,
            stdout=said,
            stderr=said,
            umask=0,
        )
    watched = [folder / name for name in ("results", "temp", "home")]
    with Watcher(process.pid, watched, (key,)) as watcher:
        try:
            until(lambda: kill_one(process.pid, "ray::MapWorker"), "the detector's process")
            code = process.wait(600)
        finally:
            process.kill()
            process.wait()
    watcher.look()
    return Watched(canaries, folder, watcher, code, (folder / "said").read_text(), key, alike)


def test_the_search_finds_words_in_every_encoding() -> None:
    word = f"{STEM}ABCDEF"
    assert search(pixels_of_noise()) == []
    for text in (word, f"1.2.826.0.1.{NUMBER_STEM}07"):
        for coded in spellings(text):
            assert len(search(b"\x07" * 5 + coded + b"\xff" * 7)) == 1, coded
    assert search(word.lower().encode()) == [STEM]


def test_every_path_was_taken(watched: Watched) -> None:
    assert watched.code == 0, watched.said
    assert len(watched.canaries.words) >= 40
    run = json.loads(next(Path(watched.output, "runs").glob("*.json")).read_text())
    assert run["missing"] == run["duplicates"] == 0
    assert set(run["reasons"]) >= REASONS
    assert run["by_status"]["screened"] >= 10
    titles = {title.partition("(")[0].partition(".")[0] for title in watched.watcher.titles}
    assert {"ray::MapWorker", "ray::PartitionWorks"} <= titles
    assert [part["writers"] for part in run["partitions"]] == [1, 1]


def test_nothing_was_found_while_it_ran(watched: Watched) -> None:
    assert {"raylet.out", "gcs_server.out", "ray-data.log", "owner.json"} <= watched.watcher.seen
    assert sorted(watched.watcher.findings) == []


def test_nothing_was_said(watched: Watched) -> None:
    assert search(watched.said.encode(), (watched.key,)) == []
    logged = [json.loads(line) for line in watched.said.splitlines() if line.startswith("{")]
    assert len(logged) >= 5
    assert "Traceback" not in watched.said


def test_nothing_is_left_but_results(watched: Watched) -> None:
    assert list((watched.folder / "temp").iterdir()) == []
    whole = b"".join(contents(path) for path in Path(watched.output).rglob("*") if path.is_file())
    assert search(whole, (watched.key,)) == []
    plain = [hashlib.sha256(word.encode()) for word in watched.canaries.words]
    assert not any(made.digest() in whole or made.hexdigest().encode() in whole for made in plain)


def test_uids_are_keyed_ids(watched: Watched) -> None:
    rows = open_results(watched.output).objects().to_pylist()
    columns = ("study_id", "series_id", "instance_id", "case_id")
    ids = [row[column] for row in rows for column in columns if row[column]]
    assert len(ids) >= 3
    assert all(re.fullmatch("[a-z2-7]{26}", made) for made in ids)


def test_the_crosswalk_alone_holds_the_names(watched: Watched) -> None:
    files = (watched.folder / "private").glob("*/crosswalk/*/*.parquet")
    rows = [row for path in files for row in pq.read_table(path).to_pylist()]
    names = " ".join(f"{row['uri']} {row['member']}" for row in rows)
    assert {word for word in watched.canaries.named if word not in names} == set()
    inside = b"".join(contents(path) for path in (watched.folder / "private").rglob("*") if path.is_file())
    others = set(watched.canaries.words) - watched.canaries.named
    assert {word for word in others if word.encode() in inside} == set()


def test_the_profile_holds_no_word_and_no_pixels(watched: Watched) -> None:
    (document,) = (watched.folder / "private").glob("profiles/*/profile.json")
    made = b"".join(contents(path) for path in document.parent.rglob("*") if path.is_file())
    groups = json.loads(document.read_text())["profile"]["groups"]
    assert any("/site-" in group["name"] for group in groups)
    assert search(made, (watched.key,)) == []
    written = b"".join(contents(path) for path in Path(watched.output).rglob("*") if path.is_file())
    rows = [pixels[20, :12].tobytes() for pixels in watched.alike]
    grey = [np.ascontiguousarray(pixels[20, :12, 0]).tobytes() for pixels in watched.alike]
    assert not [row for row in (*rows, *grey) if row in made or row in written]


def test_the_audit_log_names_the_profile(watched: Watched) -> None:
    (document,) = (watched.folder / "private").glob("profiles/*/profile.json")
    record = json.loads(document.read_text())["profile"]
    *_, end = (json.loads(path.read_text()) for path in sorted(Path(watched.output, "audit").iterdir()))
    assert end["profile"] == {"fingerprint": record["fingerprint"], "groups": len(record["groups"])}
    rows = open_results(watched.output).objects()
    assert set(rows["fingerprint"].to_pylist()) == {end["fingerprint"]}


def test_others_could_read_nothing(watched: Watched) -> None:
    assert "\n".join(sorted(watched.watcher.exposed)) == ""
    for folder in ("results", "private"):
        for path in (watched.folder / folder, *(watched.folder / folder).rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path


def test_codes_that_are_not_listed_become_other(watched: Watched) -> None:
    codes = Counter(row["modality"] for row in open_results(watched.output).slices().to_pylist())
    assert set(codes) <= {"", "CT", "other"}
    assert codes["other"] == 1
