"""The dashboard and the alerts ask for figures that runs tell, by labels that they have."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from s2sw.pipeline.run.metrics import Live, metrics_text
from s2sw.pipeline.run.progress import Tally
from s2sw.schemas.run_record import RunSummary
from tests.support.finished_runs import BUNDLE, FIRST, SETTINGS, summarise

GRAFANA = Path(__file__).parents[2] / "deploy/grafana"
OF_PROMETHEUS = {"instance", "file"}
"""Labels that a collector adds."""
ASKED = re.compile(r"(s2sw_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\b(?:by|on) \((\w*)\)")


def told() -> dict[str, set[str]]:
    """Return every figure of runs, at work and ended, and its labels."""
    running = RunSummary(FIRST, SETTINGS, BUNDLE, "2026-07-01T01:00:00+00:00")
    partition = {"number": 0, "objects": 1, "finished": 0, "writers": 1}
    texts = (
        metrics_text(running, live=Live(Tally(1), partitions=[partition])),
        metrics_text(summarise([]), {"brightness": 1}),
    )
    samples = [
        sample for text in texts for one in text_string_to_metric_families(text) for sample in one.samples
    ]
    return {sample.name: set(sample.labels) for sample in samples}


def dashboard() -> dict[str, Any]:
    return dict(json.loads((GRAFANA / "s2sw.json").read_text()))


def expressions() -> list[str]:
    alerts = yaml.safe_load((GRAFANA / "alerts.yaml").read_text())["groups"]
    targets = [target for panel in dashboard()["panels"] for target in panel["targets"]]
    return [target["expr"] for target in targets] + [rule["expr"] for one in alerts for rule in one["rules"]]


def problems(expression: str, figures: dict[str, set[str]]) -> list[str]:
    asked = ASKED.findall(expression)
    unknown = [name for name, _ in asked if name not in figures]
    known = OF_PROMETHEUS.union(*(figures.get(name, ()) for name, _ in asked))
    labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", ",".join(inner for _, inner in asked))
    return unknown + [label for label in labels + GROUPED.findall(expression) if label not in known]


def test_every_figure_and_label_is_told_by_runs() -> None:
    figures = told()
    for expression in expressions():
        assert problems(expression, figures) == [], expression
    assert problems('rate(s2sw_objekts_total{stage="x"}[5m])', figures) == ["s2sw_objekts_total", "stage"]
    assert problems('sum by (reason) (s2sw_objects_total{statuss="x"})', figures) == ["statuss", "reason"]


def test_every_figure_is_shown() -> None:
    shown = {name for expression in expressions() for name, _ in ASKED.findall(expression)}
    assert shown == set(told())


def test_legends_name_labels_and_panels_do_not_overlap() -> None:
    figures, taken = told(), set()
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            names = {name for name, _ in ASKED.findall(target["expr"])}
            known = OF_PROMETHEUS.union(*(figures[name] for name in names))
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= known, panel["title"]
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_prometheus_reads_the_expressions(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool, which reads expressions, is not installed")
    variables = {"$instance": ".*"}
    rules = [
        {"record": f"one:{number}", "expr": re.sub(r"\$\w+", lambda found: variables[found[0]], expression)}
        for number, expression in enumerate(expressions())
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
    for file in (path, GRAFANA / "alerts.yaml"):
        done = subprocess.run(
            ["promtool", "check", "rules", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
