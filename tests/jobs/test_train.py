"""The command that trains."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.model import load_detector
from tests.support import small_clip
from tests.support.training_pictures import SIDE, write

runner = CliRunner()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "small.safetensors"
    small_clip.save_safetensors(small_clip.state_dict(), path)
    return path


def train(*arguments: str | Path) -> tuple[int, str]:
    done = runner.invoke(app, ["train", *map(str, arguments), "--activation", "quick_gelu"])
    return done.exit_code, done.output


def test_trains_a_bundle(weights: Path, tmp_path: Path) -> None:
    data, out = write(tmp_path / "parts", count=2), tmp_path / "bundle"
    options = ("--epochs", "2", "--batch", "2", "--image-size", SIDE, "--device", "cpu", "--holdout", "0.5")
    code, output = train(data, "--output", out, "--clip", weights, *options)
    assert code == 0, output
    assert "2 epochs; in the last one: total" in output
    assert "Best on the held-out pictures: epoch" in output
    assert load_detector(out).prompts == "learned"
    work = tmp_path / "bundle.training"
    assert {"checkpoint.safetensors", "curve.csv", "features", "state.pt"} == {p.name for p in work.iterdir()}
    assert work.stat().st_mode & 0o077 == 0


def test_bad_usage(weights: Path, tmp_path: Path) -> None:
    data = write(tmp_path / "parts", count=1)
    for arguments, message in (
        (("--detector", "winclip"), "'winclip' cannot be trained (it learns nothing); s2swclip"),
        (("--recipe", "imagenet"), "recipe: 'imagenet' is unknown; known are mvtec, visa"),
        (("--patience", "2"), "--patience needs held-out pictures"),
        (("--device", "tpu"), "--device is 'tpu'"),
        (("--precision", "int8"), "--precision is 'int8'; fp32 or bf16 is needed"),
        (("--clip", "nowhere.pt"), "'nowhere.pt' is no file"),
        (("--taps", "all", "--image-size", "40"), "taps: 'all' given"),
        (("--image-size", "48"), "image_size: 48 gives 6 patches of 8 px a side, where the wavelets"),
        (("--image-size", "7", "--detector", "april_gan"), "image_size: 7 is below one patch of 8 px"),
        (("--split", "train"), "holds neither train/<defect>/"),
        (("--start-from", tmp_path / "no.pth"), "no.pth: no such file"),
    ):
        code, output = train(data, "-o", tmp_path / "b", "--clip", weights, "--quiet", *arguments)
        assert code == 2, (arguments, output)
        assert message in output
        assert output.count("\n") == 1
