"""A series of single files is one volume, in anatomical order where that can be known."""

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from s2sw.pipeline.review import volumes
from s2sw.pipeline.review.media import Switches
from tests.pipeline.review.serving import Client, served
from tests.support.screened import SETTINGS, VOLUME_SLICES, Screened, screen_archive
from tests.support.series import ORDER, SLICES, series_files, series_name

PLACES = ["image_position", "image_orientation", "instance_number"]
QUERY = f"?settings={SETTINGS}"


def places(client: Client, screened: Screened, place: int = 0) -> list[str]:
    """Return the ids of the volume of a slice in the page's order."""
    text = client.get(f"/volume/{screened.ids[series_name(place)]}/0{QUERY}").text
    found = re.search(r'data-places="([^"]*)"', text)
    assert found
    return [one.removesuffix("/0") for one in json.loads(unescape(found[1]))]


def anatomical(screened: Screened) -> list[str]:
    return [screened.ids[series_name(place)] for place in range(SLICES)]


def earlier(screened: Screened) -> Screened:
    """Take the places of slices out of results, as those of an earlier version have none."""
    for part in (screened.output / "slices").rglob("*.parquet"):
        pq.write_table(pq.ParquetFile(part).read().drop_columns(PLACES), part)
    return screened


def test_rows_tell_the_order_where_no_source_can_be_read(series: Screened, tmp_path: Path) -> None:
    with served(series.output, tmp_path / "none", switches=Switches(pictures=False)) as client:
        page = client.get(f"/slice/{series.ids[series_name(3)]}/0{QUERY}").text
        assert f"slice 4 of {SLICES}" in page  # at once
        assert "In anatomical order." in page
        assert places(client, series) == anatomical(series)


def test_files_of_a_series_are_in_anatomical_order(series: Screened) -> None:
    earlier(series)
    with served(series.output, series.private) as client:
        first = client.get(f"/slice/{series.ids[series_name(3)]}/0{QUERY}").text
        assert "reading their positions" in first
        assert places(client, series) == anatomical(series)
        known = client.get(f"/slice/{series.ids[series_name(3)]}/0{QUERY}").text
        assert f"slice 4 of {SLICES}" in known  # at once, now that the order is known
        assert "In anatomical order." in known
        assert f"{SLICES} slices, scores from" in known


def test_slices_of_one_file_are_a_volume_of_their_own(series: Screened) -> None:
    with served(series.output, series.private) as client:
        volume = client.get(f"/slice/{series.ids['ward/head.nii']}/7{QUERY}").text
        assert f"slice 8 of {VOLUME_SLICES}" in volume
        assert 'id="volume"' not in client.get(f"/slice/{series.ids['ward/ct.dcm']}/0{QUERY}").text


def test_without_the_sources_the_order_is_not_called_anatomical(series: Screened, tmp_path: Path) -> None:
    earlier(series)
    with served(series.output, tmp_path / "none") as client:
        assert sorted(places(client, series)) == sorted(anatomical(series))
        answer = client.get(f"/slice/{series.ids[series_name(0)]}/0{QUERY}").text
        assert "No position is known" in answer
    with served(series.output, series.private, switches=Switches(pictures=False)) as client:
        answer = client.get(f"/slice/{series.ids[series_name(0)]}/0{QUERY}").text
        assert "No position is known" in answer  # no source is read, nor waited for


def test_open_results_without_sources_are_in_the_order_of_addresses(tmp_path: Path) -> None:
    lake = earlier(screen_archive(tmp_path, "open", files=series_files()))
    with served(lake.output, lake.private, switches=Switches(pictures=False)) as client:
        by_name = [lake.ids[series_name(int(place))] for place in np.argsort(ORDER)]
        assert places(client, lake) == by_name  # im-9 before im-10


def test_a_file_that_is_gone_comes_last(tmp_path: Path) -> None:
    screened = earlier(screen_archive(tmp_path, files=series_files()))
    gone = 5
    (screened.archive / series_name(gone)).unlink()
    with served(screened.output, screened.private) as client:
        expected = anatomical(screened)
        assert places(client, screened) == [*expected[:gone], *expected[gone + 1 :], expected[gone]]
        page = client.get(f"/slice/{screened.ids[series_name(0)]}/0{QUERY}").text
        assert "1 files without a known position come last" in page


def test_headers_that_take_too_long_are_read_the_next_time(
    series: Screened, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier(series)
    monkeypatch.setattr(volumes, "SECONDS", -1.0)
    with served(series.output, series.private) as client:
        assert len(places(client, series)) == SLICES
        monkeypatch.setattr(volumes, "SECONDS", 30.0)
        assert "reading their positions" in client.get(f"/slice/{anatomical(series)[0]}/0{QUERY}").text
        assert places(client, series) == anatomical(series)
