"""The commands that build, show and verify bundles."""

import ast
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from s2sw.jobs import build_systems, bundle, evaluate, train
from s2sw.jobs.bundle import app
from s2sw.model import load_detector
from tests.support import layouts, small_clip
from tests.support.archives import encoded, texture
from tests.support.bundles import bundle as small_bundle
from tests.support.tiny_dinov2 import save_original, tiny_dinov2

runner = CliRunner()


@pytest.fixture
def weights(tmp_path):
    small_clip.save_safetensors(small_clip.state_dict(), tmp_path / "clip.safetensors")
    learner = {"ctx_pos": torch.ones(1, 1, 2, 64), "ctx_neg": -torch.ones(1, 1, 2, 64)}
    torch.save({"prompt_learner": learner}, tmp_path / "prompts.pth")
    return tmp_path


def build(weights, *options):
    command = ["build", str(weights / "out"), "--clip", str(weights / "clip.safetensors")]
    return runner.invoke(
        app, [*command, "--prompts", str(weights / "prompts.pth"), "--image-size", "40", *options]
    )


def test_build_show_verify(weights):
    done = build(weights, "--wavelet", "0.5", "--taps", "per_layer")
    assert done.exit_code == 0, done.output
    shown = runner.invoke(app, ["show", str(weights / "out")])
    assert shown.exit_code == 0
    assert shown.stdout == done.stdout
    assert "[0.5, 0.5]" in shown.output
    assert "learned prompts.pth" in shown.output
    verified = runner.invoke(app, ["verify", str(weights / "out")])
    assert verified.exit_code == 0
    assert "whole, fingerprint" in verified.output


@pytest.fixture
def normals(weights):
    """Two folders of pictures named like classes, and the results of a screening of them in open mode."""
    rows = []
    for number in range(4):
        path = weights / "normal" / ("nut" if number % 2 else "bolt") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(texture(50, 60, number), "PNG"))
        rows.append({"uri": str(path), "max_score": number / 10, "status": "screened"})
    pq.write_table(pa.Table.from_pylist(rows), weights / "objects.parquet")
    return weights / "normal"


def build_few_shot(weights, *options):
    command = [
        "build",
        str(weights / "out"),
        "--clip",
        str(weights / "clip.safetensors"),
        "--detector",
        "winclip",
    ]
    return runner.invoke(app, [*command, "--image-size", "40", *options])


def test_references_from_folders_and_from_a_query(weights, normals):
    done = build_few_shot(
        weights, "--class-name", "nut", "--class-name", "bolt", "--references", str(normals)
    )
    assert done.exit_code == 0, done.output
    assert "text, few_shot" in done.output
    assert "nut, bolt" in done.output
    tensors = load_file(weights / "out" / "weights.safetensors")
    assert tensors["memory.0.patches"].shape == tensors["memory.1.patches"].shape == (2 * 25, 64)
    whole = load_detector(weights / "out")
    query = f"SELECT uri FROM '{weights}/objects.parquet' WHERE uri LIKE '%nut%' ORDER BY max_score LIMIT 2"
    (weights / "out").rename(weights / "folders")
    assert build_few_shot(weights, "--class-name", "nut", "--references", query).exit_code == 0
    picture = texture(50, 60, 9)[None]
    found = load_detector(weights / "out").detect(picture).family_scores
    assert found.tolist() == whole.detect(picture, ["nut"]).family_scores.tolist()


def test_no_command_is_long():
    """What a command does stands in the pipeline: here it is parsed, called and printed."""
    for path in (build_systems, bundle, evaluate, train):
        tree = ast.parse(Path(path.__file__).read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        assert max(node.end_lineno - node.lineno for node in functions) < 40


def test_compare_prints_one_table_with_times(weights):
    data = layouts.mvtec(weights / "metal")
    for seed in (5, 6):
        small_bundle(weights / f"seed-{seed}", seed)
    folders = [str(weights / f"seed-{seed}") for seed in (5, 6)]
    done = runner.invoke(app, ["compare", *folders, "--data", str(data), "--json", str(weights / "o.json")])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line.strip()]
    assert "Means on metal" in lines[0]
    assert "ms a picture" in done.output
    rows = [line.split("│")[1:-1] for line in lines if "seed-" in line]
    assert [row[0].strip() for row in rows] == ["seed-5", "seed-6"]
    assert all(int(row[-1]) > 0 for row in rows)
    found = json.loads((weights / "o.json").read_text())["evaluations"]
    assert [f"{100 * one['mean']['image_auroc']:.1f}" for one in found] == [row[1].strip() for row in rows]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["one", "--data", "nowhere"], "compare needs two bundles or more"),
        (["one", "two", "--data", "nowhere"], "nowhere: no such file or folder"),
        (["embedded", "embedded", "--data", "DATA"], "bundle embedded is named twice"),
    ],
)
def test_errors_of_compare(weights, arguments, message):
    data = str(layouts.mvtec(weights / "metal"))
    done = runner.invoke(app, ["compare", *(data if a == "DATA" else a for a in arguments)])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert message in done.output


def test_dinov2_weights_and_normal_pictures_of_one_kind(weights, normals):
    save_original(tiny_dinov2(), weights / "stem.safetensors")
    command = ["build", str(weights / "out"), "--detector", "dino", "--image-size", "84"]
    done = runner.invoke(
        app, [*command, "--stem", str(weights / "stem.safetensors"), "--references", str(normals)]
    )
    assert done.exit_code == 0, done.output
    assert "few_shot" in done.output
    assert "stem.safetensors" in done.output
    assert load_file(weights / "out" / "weights.safetensors")["memory.2"].shape == (4 * 36, 128)
    (weights / "out").rename(weights / "dino")
    done = runner.invoke(app, command)
    assert done.exit_code == 2
    assert "stem: dino needs weights of DINOv2" in done.output


def test_ensemble_of_two(weights):
    assert build(weights, "--detector", "anomalyclip").exit_code == 0
    (weights / "out").rename(weights / "anomalyclip")
    assert build(weights).exit_code == 0
    done = runner.invoke(
        app, ["ensemble", str(weights / "both"), f"{weights}/out=3", f"{weights}/anomalyclip"]
    )
    assert done.exit_code == 0, done.output
    assert "s2swclip 0.75, anomalyclip 0.25" in done.output
    assert runner.invoke(app, ["verify", str(weights / "both")]).exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--class-name", "nut", "--references", "nowhere"), "references: cannot list nowhere"),
        (("--references", "nowhere"), "class_name: winclip needs the name"),
        (("--class-name", "nut", "--references", "SELECT 1 AS x"), "column uri is missing"),
        (("--class-name", "nut", "--references", "SELECT FROM x"), "references: the query fails"),
        (
            ("--class-name", "a", "--class-name", "b", "--references", "FOLDER"),
            "references: no class name for",
        ),
        (
            ("--class-name", "nut", "--references", "FOLDER", "--taps", "released"),
            "taps: winclip has no such",
        ),
        (("--class-name", "nut", "--detector", "s2swclip"), "class_name: s2swclip has no such option"),
        (("--class-name", "nut", "--detector", "april_gan"), "linear: april_gan needs"),
    ],
)
def test_errors_of_few_shot_bundles(weights, normals, options, message):
    done = build_few_shot(weights, *(str(normals) if option == "FOLDER" else option for option in options))
    assert done.exit_code == 2
    assert message in done.output
    assert sum(message in line for line in done.output.splitlines()) == 1
    assert not (weights / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--image-size", "48"), "image_size: 48 gives 6 patches"),
        (("--clip", "nowhere.pt"), "'nowhere.pt' is no file"),
        (("--activation", "relu"), "activation: 'relu' given"),
    ],
)
def test_errors_are_one_line_and_code_2(weights, options, message):
    done = build(weights, *options)
    assert done.exit_code == 2
    assert message in done.output
    assert sum(message in line for line in done.output.splitlines()) == 1
    assert "Traceback" not in done.output


def test_the_embedded_bundle_is_shown_and_verified():
    shown = runner.invoke(app, ["show", "embedded"])
    assert "nine blocks" in shown.output
    verified = runner.invoke(app, ["verify", "embedded"])
    assert verified.exit_code == 0
    assert verified.stdout.split()[-1] in shown.output


def test_verify_refuses_a_changed_bundle(weights):
    assert build(weights).exit_code == 0
    path = weights / "out" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    done = runner.invoke(app, ["verify", str(weights / "out")])
    assert done.exit_code == 2
    assert "changed after the bundle was built" in done.output


@pytest.mark.parametrize("command", [[], ["build"], ["ensemble"], ["show"], ["verify"]])
def test_help_teaches(command):
    assert "bundle" in runner.invoke(app, [*command, "--help"]).output.lower()
