"""The commands that build, show and verify bundles."""

import pytest
import torch
from typer.testing import CliRunner

from jobs.bundle import app
from tests.model import small_clip

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
    assert shown.output == done.output
    assert "[0.5, 0.5]" in shown.output
    assert "learned prompts.pth" in shown.output
    verified = runner.invoke(app, ["verify", str(weights / "out")])
    assert verified.exit_code == 0
    assert "whole, fingerprint" in verified.output


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
    assert done.output.count("s2sw:") == 1
    assert "Traceback" not in done.output


def test_verify_refuses_a_changed_bundle(weights):
    assert build(weights).exit_code == 0
    path = weights / "out" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    done = runner.invoke(app, ["verify", str(weights / "out")])
    assert done.exit_code == 2
    assert "changed after the bundle was built" in done.output


@pytest.mark.parametrize("command", [[], ["build"], ["show"], ["verify"]])
def test_help_teaches(command):
    assert "bundle" in runner.invoke(app, [*command, "--help"]).output.lower()
