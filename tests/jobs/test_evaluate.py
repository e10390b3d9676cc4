"""The command that evaluates: JSON, page, suites, and one line for what cannot work."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.evaluation.figures import METRICS
from tests.pipeline.evaluation.test_reviewed import ACCEPT, REJECT, decide
from tests.support import layouts
from tests.support.bundles import bundle
from tests.support.finished_runs import FIRST, write_parts
from tests.support.rows import screened
from tests.support.s3server import S3Server

runner = CliRunner()


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("bundles")
    return [str(bundle(folder / f"seed-{seed}", seed)) for seed in (5, 6)]


def evaluate(*arguments: str | Path) -> tuple[int, str]:
    done = runner.invoke(app, ["evaluate", *map(str, arguments)])
    return done.exit_code, done.output


class Page(HTMLParser):
    """Gathers what a page refers to and what it says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_one_bundle_writes_the_agreed_keys(bundles: list[str], tmp_path: Path) -> None:
    data = layouts.mvtec(tmp_path / "metal")
    code, output = evaluate(bundles[0], data, "--json", tmp_path / "out.json")
    assert code == 0, output
    found = json.loads((tmp_path / "out.json").read_text())
    assert set(found["mean"]) == set(METRICS)
    assert set(found["classes"]) == {"bolt", "nut"}
    assert found["classes"]["bolt"]["images"] == 6
    assert all(0 <= found["mean"][key] <= 1 for key in METRICS)
    assert f"{100 * found['mean']['pixel_aupro']:.1f}" in output


@pytest.mark.integration
def test_bundles_on_s3_are_measured_as_in_folders(
    bundles: list[str], s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bucket = s3.bucket()
    s3.client().put(f"{bundles[0]}/", f"{bucket}/models/five/", recursive=True)
    remote, data = f"s3://{bucket}/models/five/", layouts.mvtec(tmp_path / "metal")
    suite = tmp_path / "suite.yaml"
    suite.write_text(json.dumps({"bundles": [remote], "datasets": [{"path": str(data)}]}))
    ways = {"folder": [bundles[0], data], "s3": [remote, data], "suite": ["--suite", suite]}
    found = {}
    for name, words in ways.items():
        code, output = evaluate(*words, "--json", tmp_path / f"{name}.json", "--quiet")
        assert code == 0, output
        found[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert found["s3"]["mean"] == found["folder"]["mean"]
    assert str(found["folder"]["mean"]["image_auroc"]) in json.dumps(found["suite"])
    code, output = evaluate(f"s3://{bucket}/none/", data)
    assert (code, output.count("\n")) == (2, 1)


def test_page_of_two_bundles_is_self_contained_and_escaped(bundles: list[str], tmp_path: Path) -> None:
    data = layouts.mvtec(tmp_path / "<b>metal", ("<script>alert(1)<",))
    files = ("--html", tmp_path / "p.html", "--json", tmp_path / "o.json")
    code, output = evaluate(*bundles, data, *files, "--quiet")
    assert (code, output) == (0, "")
    page = Page((tmp_path / "p.html").read_text())
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert page.references
    assert all(
        reference.startswith(("data:image/jpeg;base64,", "data:image/png;base64,"))
        for reference in page.references
    )
    text = " ".join(page.words)
    for expected in ("seed-5", "seed-6", "Where the detectors disagree", "False alarms", "<script>alert(1)<"):
        assert expected in text
    labels = [one["bundle"] for one in json.loads((tmp_path / "o.json").read_text())["evaluations"]]
    assert labels == ["seed-5", "seed-6"]


def test_suite_prints_the_published_kind_of_table(bundles: list[str], tmp_path: Path) -> None:
    layouts.mvtec(tmp_path / "metal")
    layouts.visa(tmp_path / "visa")
    (tmp_path / "suite.yaml").write_text(
        f"bundles: [{os.path.relpath(bundles[1], tmp_path)}]\n"
        "datasets:\n- {path: metal, name: Metal, metrics: [image]}\n- {path: visa, name: VisA}\n"
    )
    files = [tmp_path / name for name in ("o.json", "p.html", "t.md")]
    options = [text for pair in zip(("--json", "--html", "--markdown"), files, strict=True) for text in pair]
    code, output = evaluate(bundles[0], "--suite", tmp_path / "suite.yaml", *options)
    assert code == 0, output
    found = json.loads(files[0].read_text())
    metal, visa = found["datasets"]["Metal"], found["datasets"]["VisA"]
    assert set(metal) == set(visa) == {"seed-5", "seed-6"}
    assert metal["seed-5"]["pixel_auroc"] is None
    mean = (metal["seed-5"]["image_auroc"] + visa["seed-5"]["image_auroc"]) / 2
    assert found["mean"]["seed-5"]["image_auroc"] == pytest.approx(mean)
    cells = [line.split(" | ") for line in files[2].read_text().splitlines() if line.startswith("| Metal")]
    assert cells[0][1] == f"{100 * metal['seed-5']['image_auroc']:.1f}"
    assert set(cells[1][1:]) <= {"-", "- |"}
    assert "Pixel level" in " ".join(Page(files[1].read_text()).words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: []", "'datasets': Tuple should have at least 1 item"),
        ("{}", "'datasets' is missing"),
        ("datasets: [{name: x}]", "'datasets.0.path' is missing"),
        ("datasets: [{path: metal, kind: x}]", "unknown key 'datasets.0.kind'; known there: path, name"),
        ("datasets: [{path: metal, metrics: [pixels]}]", "'datasets.0.metrics.0': Input should be"),
        ("datasets: [{path: nowhere}]", "'datasets.0.path': .*nowhere: no such file"),
        ("datasets: [{path: metal}, {path: metal}]", "'metal' is there twice"),
        ("datasets: [{path: metal}]", "no bundle: name one before --suite"),
        ("a: b: c", "not valid YAML"),
    ],
)
def test_wrong_suites(tmp_path: Path, text: str, message: str) -> None:
    layouts.mvtec(tmp_path / "metal", ("bolt",))
    (tmp_path / "suite.yaml").write_text(text)
    code, output = evaluate("--suite", tmp_path / "suite.yaml")
    assert code == 2
    assert re.search(message, " ".join(output.split()))
    assert output.count("\n") == 1


def test_bad_usage(bundles: list[str], tmp_path: Path) -> None:
    data = layouts.mvtec(tmp_path / "metal", ("bolt",))
    for arguments, message in (
        ((bundles[0],), "a bundle (or: embedded) and a data set are needed"),
        ((bundles[0], tmp_path / "nowhere"), "nowhere: no such file or folder"),
        ((bundles[0], bundles[0], data), "is named twice"),
        ((tmp_path / "nobundle", data), "nobundle: no bundle.json in it"),
        ((bundles[0], data, "--resolution", "half"), "--resolution is 'half'"),
        ((bundles[0], data, "--precision", "fp16"), "--precision is 'fp16'"),
        ((bundles[0], data, "--markdown", tmp_path / "m.md"), "--markdown writes the tables of a suite"),
        ((bundles[0], "--decisions", tmp_path), "--decisions judges stored scores"),
        (("--decisions", tmp_path / "nowhere"), "no such output"),
    ):
        code, output = evaluate(*arguments)
        assert code == 2, arguments
        assert message in output
        assert output.count("\n") == 1


def test_decisions_judge_stored_scores(tmp_path: Path) -> None:
    output = LocalOutput(tmp_path / "results")
    write_parts(output, [screened(number, number / 10) for number in range(1, 5)], FIRST)
    for score, kind in ((0.1, REJECT), (0.2, ACCEPT), (0.3, REJECT), (0.4, ACCEPT)):
        decide(output, (score, "ada", kind))
    code, text = evaluate("--decisions", tmp_path / "results", "--json", tmp_path / "o.json")
    assert code == 0, text
    found = json.loads((tmp_path / "o.json").read_text())
    assert found["mean"]["image_auroc"] == 0.75
    assert found["mean"]["pixel_auroc"] is None
    assert "75.0" in text
