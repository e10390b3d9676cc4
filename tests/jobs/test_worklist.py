"""``s2sw worklist`` as users call it: what is listed, written and said."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.jobs.configuration import ConfigurationError, build_config
from s2sw.jobs.screen import _write_worklist
from s2sw.pipeline.evidence.reviewed import Band, Reviewed, advice
from s2sw.pipeline.flagging.decisions import Decision, append
from s2sw.pipeline.flagging.thresholds import clopper_pearson
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.tables import WORKLIST
from tests.support.finished_runs import FIRST, SECOND, SETTINGS, config, summarise, write_parts, write_run
from tests.support.rows import made_id, quarantined, screened

STRANGE = range(380, 400)
"""Objects of the second night whose scores nothing earlier had."""


def worklist(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["worklist", str(folder), *arguments])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A night of 1,500 usual objects, and one of 400 of which 20 are strange."""
    rng, output = np.random.default_rng(1), LocalOutput(tmp_path)
    for run_id, count in ((FIRST, 1500), (SECOND, 400)):
        scores = rng.beta(2, 8, (count, 2))
        objects = [screened(number, *map(float, pair)) for number, pair in enumerate(scores)]
        if run_id == SECOND:
            for number in STRANGE:
                objects[number] = screened(number, 0.2, 0.95 + number / 10_000)
            objects.append(quarantined(count))
        write_parts(output, objects, run_id, rows=5000)
        write_run(output, summarise(objects, run_id))
    return tmp_path


def test_what_is_listed_is_strange_and_the_line_says_what_it_is_worth(results: Path) -> None:
    done = worklist(results, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    ids = [row["object_id"] for row in said["rows"]]
    assert ids[: len(STRANGE)] == [made_id(SECOND, number) for number in reversed(STRANGE)]
    assert len(STRANGE) <= said["listed"] < 30
    assert said["fdr"] <= 0.1
    assert said["says"].startswith(f"{said['listed']} of 400 objects are on the worklist; at most about ")
    assert {row["slice_index"] for row in said["rows"][: len(STRANGE)]} == {1}


def test_all_of_the_night_is_written_and_read_back(results: Path) -> None:
    assert worklist(results, "--budget", "7").exit_code == 0
    (file,) = (results / "worklist").iterdir()
    assert file.name == f"{SECOND}.parquet"
    table = pq.read_table(file)
    assert table.schema.equals(WORKLIST)
    assert len(table) == 400
    assert table["listed"].to_pylist() == [True] * 7 + [False] * 393
    assert table["rank"].to_pylist() == list(range(1, 401))
    p = table["p_value"].to_numpy()
    assert (np.diff(p) >= 0).all()
    assert p[0] == 1 / 1501
    assert set(table["n_past"].to_pylist()) == {1500}
    assert (np.diff(table["q_value"].to_numpy()) >= 0).all()
    assert table["slice_p_value"][0].as_py() == 1 / 3001


def test_a_budget_is_kept_and_its_false_alarms_are_said(results: Path) -> None:
    done = worklist(results, "--budget", "40")
    assert done.exit_code == 0, done.output
    assert "40 of 400 objects are on the worklist; at most about" in done.stdout
    listed = json.loads(worklist(results, "--budget", "40", "--json").stdout)
    assert 15 < listed["false_alarms"] < 28  # 20 are strange


def test_csv_holds_the_list_alone(results: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(worklist(results, "--budget", "5", "--csv").stdout)))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[0]["object_id"] == made_id(SECOND, STRANGE[-1])


def test_of_a_first_night_no_false_alarms_can_be_told(results: Path) -> None:
    done = worklist(results, "--since", "2026-07-01", "--budget", "30", "--json")
    said = json.loads(done.stdout)
    assert (said["listed"], said["units"], said["fdr"]) == (30, 1900, None)
    assert said["says"] == (
        "30 of 1,900 objects are on the worklist; 1,900 have no past to tell false alarms by"
    )
    assert all(row["q_value"] is None for row in said["rows"])
    assert said["rows"][0]["p_value"] == pytest.approx(1 / 1900)
    assert json.loads(worklist(results, "--since", "2026-07-01", "--json").stdout)["listed"] == 0


def test_the_length_is_that_of_the_newest_runs_configuration(results: Path) -> None:
    output = LocalOutput(results)
    write_run(output, summarise([], SECOND), config(flag={"budget": 3}))
    assert json.loads(worklist(results, "--json").stdout)["listed"] == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--fdr", "0.1", "--budget", "3"), "--fdr and --budget: name one of them"),
        (("--since", "yesterday"), "--since yesterday: a day such as 2026-07-01 is expected"),
        (("--json", "--csv"), "--json and --csv: name one of them"),
    ],
)
def test_bad_usage_is_one_line(results: Path, arguments: tuple[str, ...], says: str) -> None:
    done = worklist(results, *arguments)
    assert done.exit_code == 2
    assert says in done.output


def test_a_run_writes_the_list_that_its_configuration_asks_for(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, asked = LocalOutput(results), config(flag={"budget": 5})
    _write_worklist(output, asked, summarise([], SECOND), quiet=False)
    assert capsys.readouterr().out.startswith("5 of 400 objects are on the worklist; at most about ")
    listed = pq.read_table(results / "worklist" / f"{SECOND}.parquet")["listed"].to_pylist()
    assert listed == [True] * 5 + [False] * 395


def test_a_list_that_cannot_be_written_is_said_and_ends_no_run(
    results: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (results / "worklist").write_text("in the way")
    _write_worklist(LocalOutput(results), config(flag={"fdr": 0.1}), summarise([], SECOND), quiet=True)
    assert "no worklist was written" in caplog.text
    assert "in the way" in (results / "worklist").read_text()


def test_there_is_no_list_without_results(tmp_path: Path) -> None:
    done = worklist(tmp_path)
    assert done.exit_code == 2
    assert "holds no results yet" in done.output


@pytest.mark.parametrize(
    ("flag", "field"),
    [
        ("fdr: 0.1\n  budget: 3", "'flag': fdr and budget"),
        ("fdr: 2", "'flag.fdr'"),
        ("budget: 0", "'flag.budget'"),
    ],
)
def test_a_job_file_names_the_field_that_is_wrong(tmp_path: Path, flag: str, field: str) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"source: /a\noutput: /b\nflag:\n  {flag}\n")
    with pytest.raises(ConfigurationError, match=field):
        build_config(job, {})


def test_rows_that_no_run_wrote_are_left_out(results: Path) -> None:
    """Scores that are none, and names that a terminal would obey."""
    strange = screened(0, 0.99)
    strange.slices[0]["group"] = "\x1b[2J"
    write_parts(
        LocalOutput(results), [strange, screened(1, float("nan")), screened(2, 7.0)], "20260703T000000-cccccc"
    )
    assert json.loads(worklist(results, "--json").stdout)["units"] == 0


def test_what_reviewers_accepted_is_no_part_of_the_past(results: Path) -> None:
    """Else the anomalies of earlier nights would make tonight's look usual."""
    output, third = LocalOutput(results), "20260703T000000-cccccc"
    rng = np.random.default_rng(5)
    objects = [screened(number, *map(float, pair)) for number, pair in enumerate(rng.beta(2, 8, (300, 2)))]
    objects[7] = screened(7, 0.2, 0.94)
    write_parts(output, objects, third, rows=5000)
    write_run(output, summarise(objects, third))
    before = json.loads(worklist(results, "--budget", "1", "--json").stdout)["rows"][0]
    assert (before["object_id"], before["n_past"]) == (made_id(third, 7), 1900)
    assert before["p_value"] == pytest.approx(21 / 1901)
    when = datetime(2026, 7, 3, tzinfo=UTC)
    kinds = {
        DecisionKind.ACCEPT: STRANGE[:15],
        DecisionKind.REJECT: STRANGE[15:],
        DecisionKind.UNSURE: [1, 2],
    }
    append(output, [
        Decision(made_id(SECOND, number), 1, SETTINGS, kind, "ada", when, 0.5)
        for kind, numbers in kinds.items() for number in numbers
    ])  # fmt: skip
    after = json.loads(worklist(results, "--budget", "1", "--json").stdout)["rows"][0]
    assert (after["object_id"], after["n_past"]) == (made_id(third, 7), 1885)
    assert after["p_value"] == pytest.approx(6 / 1886)


def test_decisions_tell_what_the_lists_were_worth(results: Path) -> None:
    """Of 40 listed objects 20 are strange and accepted, the others rejected."""
    said = json.loads(worklist(results, "--budget", "40", "--json").stdout)
    when, strange = datetime(2026, 7, 3, tzinfo=UTC), {made_id(SECOND, number) for number in STRANGE}
    kinds = {True: DecisionKind.ACCEPT, False: DecisionKind.REJECT}
    append(LocalOutput(results), [
        Decision(row["object_id"], 1, SETTINGS, kinds[row["object_id"] in strange], "ada", when, 0.5)
        for row in said["rows"]
    ])  # fmt: skip
    done = CliRunner().invoke(app, ["threshold", str(results), "--budget", "40"])
    assert done.exit_code == 0, done.output
    low, high = clopper_pearson(20, 40)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("budget 40")]
    assert line.split()[2:6] == ["40", "40", "20", "0.5000"]
    assert f"({low:.4f} to {high:.4f})" in line
    assert line.rstrip().endswith("as claimed")
    assert "No share of false alarms is shown to hold yet." in done.stdout
    assert "Use --budget 40: too little is known of its end." in done.stdout  # of ten objects
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ranks 21 to 30")]
    assert line.split()[4:8] == ["10", "10", "0", "0.0000"]
    assert Reviewed(40, 39, 38, 2, 0.2).shows(0.2)
    assert not Reviewed(40, 39, 33, 2, 0.2).shows(0.2)  # 33 of 39 may be 70 %
    assert not Reviewed(400, 39, 39, 2, 0.2).shows(0.2)  # most are not decided
    assert Reviewed(40, 40, 8, 1, 0.2).verdict == "more false alarms than claimed"
    few = CliRunner().invoke(app, ["threshold", str(results), "--budget", "9"])
    assert few.exit_code == 1
    assert "9 objects of worklists are decided; 20 or more are needed" in few.output
    both = CliRunner().invoke(app, ["threshold", str(results), "--budget", "9", "--target-rate", "0.1"])
    assert both.exit_code == 2


@pytest.mark.parametrize(
    ("anomalies", "says"),
    [
        ((90, 60, 1, 0), "Use --budget 20: at ranks 21 to 30 at most 3.7% are anomalies."),
        ((90, 60, 40, 30), "Use --budget 40 or more: at its end, ranks 31 to 40, 20.0% are anomalies."),
        ((0, 0, 0, 0), "Use --budget 10: at ranks 11 to 20 at most 2.4% are anomalies."),
        ((90, 60, 0, 9), "Use --budget 40: too little is known of its end."),
    ],
)
def test_a_budget_is_recommended_by_what_its_quarters_held(anomalies: tuple[int, ...], says: str) -> None:
    """Of 15 nights: 150 decisions on each quarter."""
    quarters = [
        Band(10 * n + 1, 10 * n + 10, Reviewed(150, 150, count, 15, None))
        for n, count in enumerate(anomalies)
    ]
    assert advice(quarters) == says
    unread = [replace(one, found=replace(one.found, decided=20, anomalies=0)) for one in quarters]
    assert advice(unread) == "Use --budget 40: too little is known of its end."


def test_where_too_few_are_alike_there_is_no_p_value(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    objects = [screened(number, number / 20) for number in range(20)]
    write_parts(output, objects, FIRST, rows=5000)
    write_run(output, summarise(objects, FIRST))
    said = json.loads(worklist(tmp_path, "--budget", "3", "--json").stdout)
    assert [row["p_value"] for row in said["rows"]] == [None] * 3
    assert [row["object_id"] for row in said["rows"]] == [made_id(FIRST, n) for n in (19, 18, 17)]
    assert said["says"] == (
        "3 of 20 objects are on the worklist; 20 have no p-value: fewer than 50 are like them"
    )
