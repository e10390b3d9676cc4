"""The figures of a report are those of the committed rows, locally and on a real S3 server."""

from pathlib import Path

import numpy as np
import pytest

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.outputs.opening import open_output
from s2sw.pipeline.ledger.run_records import ReportError, read_run
from s2sw.pipeline.reports.figures import gather
from s2sw.pipeline.results.opening import damaged_parts, open_existing, readable
from s2sw.schemas.outcomes import Reason
from s2sw.schemas.run_record import RunRecord
from s2sw.schemas.storage import StorageSettings
from tests.support.finished_runs import FIRST, SECOND, SETTINGS, summarise, write_parts, write_run
from tests.support.rows import quarantined, screened
from tests.support.s3server import S3Server

STORAGE = StorageSettings(tries=1)
EARLIER = [
    screened(0, 0.25, 0.5),
    quarantined(1),
    quarantined(2, Reason.EMPTY),
    quarantined(3, Reason.NOT_AN_IMAGE),
]
LATER = [screened(0, 0.75), quarantined(1)]


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.integration)])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> OutputFolder:
    if request.param == "local":
        return LocalOutput(tmp_path / "results")
    return open_output(f"s3://{request.getfixturevalue('s3').bucket()}/results", STORAGE)


def test_a_run_is_told_from_all_under_the_same_settings(output: OutputFolder) -> None:
    write_parts(output, EARLIER, FIRST, rows=2)
    write_parts(output, LATER, SECOND, by_date=True, site="north")
    write_parts(output, LATER, "20260703T010000-cccccc", fingerprint="0" * 32)
    for run_id, objects in ((FIRST, EARLIER), (SECOND, LATER)):
        write_run(output, summarise(objects, run_id))
    report = gather(output, read_run(output, SECOND))
    assert (report.own.scores.total, report.same_settings.scores.total) == (1, 3)
    assert report.own.scores.highest == 0.75
    assert report.own.reasons == {"truncated": 1}
    assert report.same_settings.reasons == {"truncated": 2, "empty": 1}
    assert report.unfinished == ["20260703T010000-cccccc"]


def test_slices_that_are_not_committed_do_not_count(output: OutputFolder) -> None:
    write_parts(output, EARLIER, rows=1)
    output.delete(f"objects/{FIRST}-00000.parquet")
    report = gather(output, written(output))
    assert report.own.scores.total == 0


def written(output: OutputFolder, **values: object) -> RunRecord:
    write_run(output, summarise(EARLIER, **values))
    return read_run(output, FIRST)


def test_many_parts_make_one_histogram(output: OutputFolder) -> None:
    scores = np.random.default_rng(3).random((40, 2)).astype(np.float32)
    write_parts(output, [screened(i, *map(float, pair)) for i, pair in enumerate(scores)], rows=2)
    assert len(output.names("slices")) == 40
    histogram = gather(output, written(output)).own.scores
    assert histogram.total == scores.size
    assert dict(histogram.markers())["p95"] == pytest.approx(
        np.percentile(scores, 95, method="inverted_cdf"), abs=1e-5
    )


def test_a_run_with_nothing_committed_has_a_report(output: OutputFolder) -> None:
    report = gather(output, written(output, outcome="failed", by_status={}, fingerprint=SETTINGS))
    assert (report.own.scores.total, report.own.reasons.total()) == (0, 0)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"no such output: .*/none is not a folder"):
        open_existing(str(tmp_path / "none"), STORAGE)


def test_a_damaged_part_is_left_out_and_told_in_one_line(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    output.write(f"objects/{FIRST}-00000.parquet", b"PAR1 is no table \x04\0\0\0PAR1")
    with readable(output):
        report = gather(output, written(output))
    assert (report.own.scores.total, report.own.reasons.total()) == (0, 0)
    said = damaged_parts(output)
    assert said.startswith(f"objects/{FIRST}-00000.parquet is damaged and left out (")
    assert "\n" not in said


@pytest.mark.integration
@pytest.mark.parametrize(
    ("bucket", "secret", "message"),
    [("none-of-ours", None, "no such bucket"), (None, "wrong", "AWS_SECRET_ACCESS_KEY")],
)
def test_failures_of_s3_are_named(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch, bucket: str | None, secret: str | None, message: str
) -> None:
    address = f"s3://{bucket or s3.bucket()}/results"
    if secret:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    output = open_existing(address, STORAGE)
    with s3.fresh_clients(), pytest.raises(ReportError, match=message), readable(output):
        output.names("objects")
