"""The reading library: committed rows only, lazily, the same through DuckDB, pyarrow and pandas."""

from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.outputs.opening import open_output
from s2sw.pipeline.results.reading import Results, open_results
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import OBJECTS, SLICES
from tests.support.finished_runs import FIRST, SECOND, write_old_parts, write_parts
from tests.support.rows import made_id, quarantined, screened
from tests.support.s3server import S3Server

THIRD = "20260703T010000-cccccc"
FIRST_DAY, SECOND_DAY = date(2026, 7, 1), date(2026, 7, 2)


def fill(output: OutputFolder) -> None:
    """Two runs of two sites on two days, as earlier versions wrote them, then one as it is now."""
    write_old_parts(output, [screened(0, 0.1, 0.9), quarantined(1)], FIRST, "north")
    write_old_parts(output, [screened(0, 0.5)], SECOND, "007")
    write_parts(output, [screened(0, 0.7)], THIRD)


def ids(results: Results, query: str) -> list[tuple[object, ...]]:
    return results.sql(query).fetchall()


def test_an_output_without_runs_has_empty_tables_of_the_schemas(tmp_path: Path) -> None:
    results = open_results(str(tmp_path))
    assert results.slices().schema.equals(SLICES)
    assert results.objects().schema.equals(OBJECTS)
    relation = results.sql("FROM slices")
    assert relation.columns == SLICES.names
    assert relation.fetchall() == []
    assert results.sql("FROM objects").columns == OBJECTS.names


def test_folders_of_earlier_versions_are_read_as_the_columns_of_this_one(tmp_path: Path) -> None:
    fill(LocalOutput(tmp_path))
    results = open_results(str(tmp_path))
    expected = [
        ("north", FIRST_DAY, 0.1),
        ("north", FIRST_DAY, 0.9),
        ("007", SECOND_DAY, 0.5),
        (None, date(2026, 7, 3), 0.7),
    ]
    rows = ids(
        results, "SELECT site, date, round(image_score::DOUBLE, 3) FROM slices ORDER BY run_id, image_score"
    )
    assert rows == expected
    table = results.slices().sort_by([("run_id", "ascending"), ("image_score", "ascending")])
    assert [(r["site"], r["date"], pytest.approx(r["image_score"])) for r in table.to_pylist()] == expected
    assert set(results.sql("FROM slices").columns) == set(SLICES.names)
    assert results.dataset().schema.names == SLICES.names
    assert ids(results, "SELECT count(*) FROM objects WHERE site = '007' AND date = '2026-07-02'") == [(1,)]


@pytest.mark.parametrize("old", [True, False])
def test_a_run_without_a_site_has_its_day(tmp_path: Path, old: bool) -> None:
    output = LocalOutput(tmp_path)
    if old:
        write_old_parts(output, [screened(0, 0.5)], FIRST)
    else:
        write_parts(output, [screened(0, 0.5)], FIRST)
    results = open_results(str(tmp_path))
    assert results.sql("SELECT date, site FROM objects").fetchall() == [(FIRST_DAY, None)]
    assert results.objects().select(["date", "site"]).to_pylist() == [{"date": FIRST_DAY, "site": None}]
    assert set(results.sql("FROM objects").columns) == set(OBJECTS.names)


def test_every_program_reads_all_parts_of_one_layout(tmp_path: Path) -> None:
    """What DuckDB and pyarrow say by themselves, without this library."""
    write_parts(LocalOutput(tmp_path), [screened(0, 0.1, 0.9)], FIRST, site="north")
    write_parts(LocalOutput(tmp_path), [screened(0, 0.5)], SECOND)
    expected = [(FIRST_DAY, "north", 2), (SECOND_DAY, None, 1)]
    files = str(tmp_path / "slices/**/*.parquet")
    query = (
        "SELECT date, site, count(*) FROM read_parquet(?, hive_partitioning = true) "
        "GROUP BY ALL ORDER BY date"
    )
    assert duckdb.execute(query, [files]).fetchall() == expected
    table = pq.read_table(tmp_path / "slices")
    assert sorted((row["date"], row["site"]) for row in table.to_pylist())[::2] == [
        (FIRST_DAY, "north"), (SECOND_DAY, None)
    ]  # fmt: skip


def test_the_path_of_an_output_is_no_pattern_and_no_partition(tmp_path: Path) -> None:
    root = tmp_path / "site=outer" / "a[b]*?'"
    write_parts(LocalOutput(root), [screened(0, 0.5)])
    write_parts(LocalOutput(tmp_path / "site=outer" / "ab'"), [screened(1, 0.5)])
    results = open_results(str(root))
    assert ids(results, "SELECT object_id FROM slices") == [(made_id(FIRST, 0),)]
    assert ids(results, "SELECT site FROM slices") == [(None,)]


def test_of_an_object_screened_again_the_newest_run_counts_in_every_reader(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    write_parts(output, [screened(0, 0.2, 0.3), screened(1, 0.4)], FIRST)
    again = pq.read_table(tmp_path / f"objects/{FIRST}-00000.parquet").slice(0, 1)
    for folder, kept in (("slices", 2), ("objects", 1)):
        table = pq.read_table(tmp_path / folder / f"{FIRST}-00000.parquet").slice(0, kept)
        run = pa.array([SECOND] * kept)
        table = table.set_column(table.schema.get_field_index("run_id"), "run_id", run)
        pq.write_table(table, tmp_path / folder / f"{SECOND}-00000.parquet")
    results = open_results(str(tmp_path))
    screening = {again["object_id"][0].as_py(): SECOND, made_id(FIRST, 1): FIRST}
    for name in ("slices", "objects"):
        assert dict(ids(results, f"SELECT object_id, run_id FROM {name}")) == screening
        frame = results.pandas(name)
        assert dict(zip(frame["object_id"], frame["run_id"], strict=True)) == screening
    assert len(results.slices()) == 3
    assert results.sql("FROM superseded").fetchall() == [(made_id(FIRST, 0), "f" * 32, FIRST)]


def test_results_under_other_settings_are_kept_apart(tmp_path: Path) -> None:
    write_parts(LocalOutput(tmp_path), [screened(0, 0.2)], FIRST, "a" * 32)
    table = pq.read_table(tmp_path / f"objects/{FIRST}-00000.parquet")
    other = table.set_column(table.schema.get_field_index("fingerprint"), "fingerprint", pa.array(["b" * 32]))
    other = other.set_column(other.schema.get_field_index("run_id"), "run_id", pa.array([SECOND]))
    pq.write_table(other, tmp_path / f"objects/{SECOND}-00000.parquet")
    everything = open_results(str(tmp_path), fingerprint="all")
    assert len(everything.objects()) == len(everything.sql("FROM objects").fetchall()) == 2
    assert list(everything.settings()) == ["b" * 32, "a" * 32]
    for asked, found in (("newest", "b"), ("a" * 32, "a"), ("b" * 32, "b")):
        results = open_results(str(tmp_path), fingerprint=asked)
        assert ids(results, "SELECT fingerprint FROM objects") == [(found * 32,)]
        assert results.objects()["fingerprint"].to_pylist() == [found * 32]


def test_files_of_an_earlier_version_lack_columns_that_are_then_null(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    write_parts(output, [screened(0, 0.2)], FIRST)
    write_parts(output, [screened(0, 0.3)], SECOND)
    old = tmp_path / f"slices/{FIRST}-00000.parquet"
    pq.write_table(pq.read_table(old).drop_columns(["body_part", "applied"]), old)
    results = open_results(str(tmp_path))
    expected = [(None, None), ("", "window")]
    assert ids(results, "SELECT body_part, applied FROM slices ORDER BY run_id") == expected
    assert [(r["body_part"], r["applied"]) for r in results.slices().to_pylist()] == expected
    for path in (tmp_path / "slices").iterdir():
        pq.write_table(pq.read_table(path).drop_columns(["modality"]), path)
    assert ids(results, "SELECT DISTINCT modality FROM slices") == [(None,)]


def test_a_page_of_results_reads_little_of_the_files(tmp_path: Path) -> None:
    """What no query asks for may even be damaged: files are opened lazily, and skipped by statistics."""
    for run_id, site in ((FIRST, "north"), (SECOND, "007"), (THIRD, "")):
        write_parts(LocalOutput(tmp_path), [screened(0, 0.1, 0.9)], run_id, site=site)
    damaged = tmp_path / f"slices/{SECOND}-00000.parquet"
    data = damaged.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little") + 8
    damaged.write_bytes(data[:4] + bytes(len(data) - 4 - footer) + data[-footer:])
    results = open_results(str(tmp_path))
    assert ids(results, "SELECT count(*) FROM slices WHERE site = 'north'") == [(2,)]
    assert results.dataset().filter(pa.compute.field("site") == "north").count_rows() == 2
    with pytest.raises(duckdb.Error):
        ids(results, "SELECT sum(image_score) FROM slices")


def test_cursors_of_other_threads_see_the_same_views(tmp_path: Path) -> None:
    write_parts(LocalOutput(tmp_path), [screened(0, 0.5)])
    connection = open_results(str(tmp_path)).connect()
    assert connection.cursor().sql("SELECT count(*) FROM slices").fetchall() == [(1,)]


def test_a_connection_loads_no_extension_and_writes_no_file(tmp_path: Path) -> None:
    settings = dict(
        open_results(str(tmp_path)).connect().sql("SELECT name, value FROM duckdb_settings()").fetchall()
    )
    assert settings["autoinstall_known_extensions"] == settings["autoload_known_extensions"] == "false"
    assert settings["temp_directory"] == ""


BINARY = {"mask", "token_map", "zero_shot_map"}


def test_pandas_leaves_out_what_is_binary_unless_asked(tmp_path: Path) -> None:
    write_parts(LocalOutput(tmp_path), [screened(0, 0.5)])
    results = open_results(str(tmp_path))
    assert set(SLICES.names) - set(results.pandas().columns) == BINARY
    assert results.pandas("slices", ["mask"])["mask"].tolist() == [b"h0"]


def test_an_unknown_table_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="table is 'runs': one of slices, objects is expected"):
        open_results(str(tmp_path)).dataset("runs")


@pytest.mark.integration
def test_results_on_s3_read_the_same(s3: S3Server, tmp_path: Path) -> None:
    address = f"s3://{s3.bucket()}/results/a=b [x]"
    remote, local = open_output(address, StorageSettings()), LocalOutput(tmp_path)
    for output in (remote, local):
        fill(output)
    results = open_results(address)
    query = "SELECT * FROM slices JOIN objects USING (object_id) ORDER BY object_id, slice_index"
    assert results.sql(query).fetchall() == open_results(str(tmp_path)).sql(query).fetchall()
    assert results.slices().equals(open_results(str(tmp_path)).slices())
    assert len(results.pandas("objects")) == 4
    assert open_results(f"{address}/other").sql("FROM slices").fetchall() == []
