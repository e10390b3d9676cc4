"""``s2sw train-embedded``: what it refuses; training itself is tested in tests/model/embedded_training."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.model.synthetic import photographs


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["train-embedded", *map(str, arguments)])
    return result.exit_code, result.output


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    code, said = run(tmp_path)
    assert code == 2
    assert "this run is finished; name another folder" in said
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_too_few_pictures(tmp_path: Path) -> None:
    code, said = run(tmp_path / "run", "--pictures", 100)
    assert code == 2
    assert "512" in said
    assert not (tmp_path / "run").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("kept")
    code, said = run(tmp_path / "notes")
    assert code == 2
    assert "is a file" in said
    assert (tmp_path / "notes").read_text() == "kept"


def test_missing_photographs_are_said_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photographs, "PACKAGE", "no_such_package")
    code, said = run(tmp_path / "run")
    assert code == 2
    assert "photographs as surfaces need scikit-image: pip install 's2sw[train]'" in said
    assert not (tmp_path / "run").exists()


def test_a_start_that_is_none_is_named(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.safetensors", tmp_path / "other.safetensors"
    text.write_text("no tensors")
    save_file({"logits": torch.zeros(1)}, other)
    for start, message in ((text, "not a readable file of tensors"), (other, "belongs to no plain CLIP ViT")):
        code, said = run(tmp_path / "run", "--start", start)
        assert code == 2
        assert f"{start}: " in said
        assert message in said
