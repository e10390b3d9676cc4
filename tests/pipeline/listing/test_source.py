"""A source that holds results, its own or others', lists the archive and nothing of ours."""

import io
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from s2sw.connectors.outputs.opening import open_output
from s2sw.connectors.storage.objects import list_objects
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.source import (
    OTHER_OUTPUT,
    OWN_OUTPUT,
    PRIVATE,
    first_object,
    listing,
    with_source,
)
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.layout import MARKER
from s2sw.schemas.storage import StorageSettings
from tests.support.s3server import S3Server

ARCHIVE = ["a/1.png", "objects/2.png", "results-of-2019/3.png", "z/deep/er/4.png"]
RESULTS = [MARKER, "objects/run-00000.parquet", "runs/run.json", "slices/run-00000.parquet"]


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path / "lake")
    s3: S3Server = request.getfixturevalue("s3")
    return f"s3://{s3.bucket()}/lake"


def fill(place: str, names: list[str]) -> None:
    output = open_output(place, StorageSettings())
    for name in names:
        output.write(name, b"x")


def listed(place: str, output: str, **more: object) -> tuple[list[str], Counter[str]]:
    left_out: Counter[str] = Counter()
    config = ScreenConfig.model_validate({"source": place, "output": output, **more})
    found = [stored.uri.partition("/lake/")[2] for stored in listing(config, left_out)]
    return sorted(found), left_out


def test_an_output_inside_the_source_is_left_out(place: str) -> None:
    fill(place, ARCHIVE)
    fill(f"{place}/results", RESULTS)
    found, left_out = listed(place, f"{place}/results")
    assert found == ARCHIVE
    assert left_out == {OWN_OUTPUT: len(RESULTS)}


def test_other_outputs_are_told_by_their_marker(place: str) -> None:
    fill(place, ARCHIVE)
    fill(f"{place}/a/earlier", RESULTS)
    found, left_out = listed(place, f"{place}/results")
    assert found == ARCHIVE
    assert left_out == {OTHER_OUTPUT: len(RESULTS)}


def test_results_written_right_into_the_source(place: str) -> None:
    """Their own names alone are left out, by this output's runs and by those of another."""
    fill(place, [*ARCHIVE, *RESULTS])
    assert listed(place, place) == (ARCHIVE, {OWN_OUTPUT: len(RESULTS)})
    assert listed(place, f"{place}-2") == (ARCHIVE, {OTHER_OUTPUT: len(RESULTS)})


def test_the_private_folder_is_left_out(tmp_path: Path) -> None:
    place = str(tmp_path / "lake")
    fill(place, [*ARCHIVE, "keys/id.key"])
    found, left_out = listed(place, f"{tmp_path}/out", private_dir=f"{place}/keys")
    assert (found, left_out) == (ARCHIVE, {PRIVATE: 1})


def test_a_single_file_and_a_link_to_a_folder_are_sources(tmp_path: Path) -> None:
    fill(str(tmp_path / "lake"), ARCHIVE)
    (tmp_path / "link").symlink_to(tmp_path / "lake")
    assert listed(str(tmp_path / "link"), f"{tmp_path}/out")[0] == ARCHIVE
    assert listed(str(tmp_path / "lake/a/1.png"), f"{tmp_path}/out")[0] == ["a/1.png"]


def test_a_manifest_gives_the_objects_that_listing_gives(place: str, tmp_path: Path) -> None:
    """In any order; what belongs to an output is left out, wherever its marker stands."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("1.png", b"one")
        archive.writestr("2.png", b"two")
    fill(place, ARCHIVE)
    fill(f"{place}/a/earlier", RESULTS)
    open_output(place, StorageSettings()).write("z/packed.zip", packed.getvalue())
    config = ScreenConfig.model_validate({"source": f"{place}/", "output": f"{place}/results"})
    left_out: Counter[str] = Counter()
    expected = set(listing(config, left_out))
    assert len(expected) == len(ARCHIVE) + 2

    uris = sorted(one.uri for one in list_objects(f"{place}/", StorageSettings()))[::-1]
    (tmp_path / "list.csv").write_text("\n".join(["uri", *uris]))
    by_manifest: Counter[str] = Counter()
    config = config.model_copy(update={"manifest": str(tmp_path / "list.csv")})
    assert set(listing(config, by_manifest)) == expected
    assert by_manifest == left_out == {OTHER_OUTPUT: len(RESULTS)}

    frozen = tmp_path / "earlier.parquet"
    freeze(listing(config), object_ids(None), frozen)
    again = config.model_copy(update={"manifest": str(frozen)})
    assert set(listing(again)) == expected
    assert first_object(again) in expected


def test_the_source_of_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("uri\ns3://lake/2026/a\n")
    config = ScreenConfig.model_validate({"manifest": str(tmp_path / "list.csv"), "output": "out"})
    assert with_source(config).source == "s3://lake/"
    named = config.model_copy(update={"source": "s3://lake/2026/"})
    assert with_source(named) is named
