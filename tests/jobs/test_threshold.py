"""``s2sw threshold`` as users call it, and that a run takes what it writes."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.jobs.configuration import ConfigurationError, build_config, read_flags
from s2sw.pipeline.flagging.decisions import Decision, append
from s2sw.pipeline.flagging.thresholds import for_precision, for_rate
from s2sw.pipeline.results.reading import open_results
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.flagging import FlagSettings
from tests.support.finished_runs import FIRST, SECOND, SETTINGS, summarise, write_parts, write_run
from tests.support.rows import made_id, screened

NORTH, SOUTH = np.round(np.linspace(0.01, 0.9, 60), 4), np.round(np.linspace(0.3, 0.99, 60), 4)


def threshold(folder: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["threshold", str(folder), *map(str, arguments)])


def decide(folder: Path, run_id: str, number: int, kind: DecisionKind, reviewer: str = "ada") -> Decision:
    return Decision(
        made_id(run_id, number), 0, SETTINGS, kind, reviewer, datetime(2026, 7, 3, tzinfo=UTC), 0.5
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites; north's slices are anomalies from the 30th on, and all but every fifth are decided."""
    folder = tmp_path_factory.mktemp("results")
    output = LocalOutput(folder)
    for run_id, site, scores in ((FIRST, "north", NORTH), (SECOND, "south", SOUTH)):
        objects = [screened(number, float(score)) for number, score in enumerate(scores)]
        write_parts(output, objects, run_id, rows=100, site=site)
        write_run(output, summarise(objects, run_id))
    kinds = [DecisionKind.ACCEPT if n >= 30 else DecisionKind.REJECT for n in range(60)]
    append(output, [decide(folder, FIRST, n, kinds[n]) for n in range(60) if n % 5])
    # a tie of two reviewers counts as neither, an unsure one not at all
    append(output, [decide(folder, FIRST, 59, DecisionKind.REJECT, "bob")])
    append(output, [decide(folder, SECOND, n, DecisionKind.UNSURE) for n in range(40)])
    return folder


def test_a_precision_is_answered_from_decisions(results: Path, tmp_path: Path) -> None:
    file = tmp_path / "flag.yaml"
    done = threshold(results, "--target-precision", "0.9", "--to", file)
    assert done.exit_code == 0, done.output
    numbers = [n for n in range(59) if n % 5]
    scores = np.float32(NORTH[numbers]).astype(np.float64)
    expected = for_precision(scores, np.array(numbers) >= 30, 0.9)
    (written,) = yaml.safe_load(file.read_text()).values()
    assert written == {"threshold": expected.threshold, "groups": []}
    low, high = expected.interval
    assert f"{expected.achieved:.4f} ({low:.4f} to {high:.4f})" in done.stdout
    assert f"{expected.sample} slices" in done.stdout


def test_a_rate_is_answered_from_what_no_reviewer_accepted(results: Path) -> None:
    done = threshold(results, "--target-rate", "0.05")
    assert done.exit_code == 0, done.output
    accepted = [n for n in range(30, 60) if n % 5]
    normal = np.float32(np.concatenate([np.delete(NORTH, accepted), SOUTH])).astype(np.float64)
    expected = for_rate(normal, 0.05)
    assert yaml.safe_load(done.stdout)["flag"]["threshold"] == expected.threshold
    assert expected.threshold_interval is not None
    low, high = expected.threshold_interval
    assert f"({low:.4f} to {high:.4f})" in done.stderr


def test_groups_have_their_own_and_those_with_too_little_that_of_all(results: Path) -> None:
    done = threshold(results, "--target-precision", "0.9", "--by", "site,modality")
    flag = yaml.safe_load(done.stdout)["flag"]
    assert [{**group, "threshold": None} for group in flag["groups"]] == [
        {"site": "north", "modality": "CT", "threshold": None}
    ]
    assert "as for all" not in done.stderr  # no slice of south is decided, so it is no group at all
    rate = threshold(results, "--target-rate", "0.05", "--by", "site")
    groups = yaml.safe_load(rate.stdout)["flag"]["groups"]
    assert [group["site"] for group in groups] == ["south"]
    assert "only 36 normal slices; 60 or more are needed" in rate.stderr


def test_a_run_takes_what_was_written(results: Path, tmp_path: Path) -> None:
    file = tmp_path / "flag.yaml"
    assert threshold(results, "--target-rate", "0.1", "--by", "site", "--to", file).exit_code == 0
    config = build_config(None, {"source": "/a", "output": "/b", "flag": read_flags(file)})
    written = yaml.safe_load(file.read_text())["flag"]
    assert config.flag == FlagSettings.model_validate(written)
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump({"source": "/a", "output": "/b", "flag": written}))
    assert build_config(job, {}).flag == config.flag


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("threshold: 0.5", "only the key 'flag' is expected, as `s2sw threshold` writes it"),
        ("flag: {threshold: 2}", "'flag.threshold': Input should be less than or equal to 1"),
        ("flag: {groups: [{site: a}]}", "'flag.groups.0.threshold' is missing: score from which"),
        (
            "flag: {groups: [{sites: a, threshold: 1}]}",
            "unknown key 'flag.groups.0.sites'; known there: site",
        ),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "flag.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        build_config(None, {"source": "/a", "output": "/b", "flag": read_flags(file)})
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "name one of --target-precision and --target-rate"),
        (["--target-rate", "0.1", "--target-precision", "0.9"], "name one of --target-precision and"),
        (
            ["--target-rate", "0.1", "--from", "decisions"],
            "--from decisions: --target-rate needs --from normals",
        ),
        (["--target-rate", "0.1", "--by", "ward"], "--by ward: site and modality are known"),
    ],
)
def test_what_cannot_be_answered_is_refused(results: Path, arguments: list[str], line: str) -> None:
    done = threshold(results, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert line in done.stderr


def test_too_few_decisions_end_without_a_file(results: Path, tmp_path: Path) -> None:
    output = LocalOutput(tmp_path)
    write_parts(output, [screened(0, 0.5)])
    write_run(output, summarise([screened(0, 0.5)]))
    done = threshold(tmp_path, "--target-precision", "0.5", "--to", tmp_path / "flag.yaml")
    assert done.exit_code == 1
    assert "no threshold can be proposed: 0 slices are decided; 20 or more are needed" in done.stderr
    assert not (tmp_path / "flag.yaml").exists()
    assert (
        "no row of the results names a site"
        in threshold(tmp_path, "--target-rate", "0.1", "--by", "site").stderr
    )


def test_the_proposed_threshold_flags_what_it_says(results: Path) -> None:
    done = threshold(results, "--target-rate", "0.05")
    cut = yaml.safe_load(done.stdout)["flag"]["threshold"]
    ((count,),) = (
        open_results(str(results))
        .sql(f"SELECT count(*) FROM slices WHERE image_score >= {cut}::FLOAT")
        .fetchall()
    )
    assert f"Of the 120 slices so far {count} would be flagged." in done.stderr
