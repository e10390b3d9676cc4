"""Weights files cannot do anything: no code of theirs runs, nothing is written, nothing is started."""

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from s2sw.model.errors import BundleError
from s2sw.model.heads.april_linear import read_linear
from s2sw.model.prompts.learned import read_prompts
from s2sw.model.training.state import read_state
from s2sw.model.weights.clip import read_clip
from s2sw.model.weights.tensors import read_tensors
from tests.security.hostile_weights import Opening, Plain, good_files, hostile_files, scripted, state
from tests.security.mutated_weights import mutants
from tests.security.watched_reading import read_watched

READERS: dict[str, Callable[[Path], Any]] = {
    "clip": read_clip,
    "tensors": read_tensors,
    "prompts": lambda path: read_prompts(path, 4),
    "linear layers": lambda path: read_linear(path, 1, 4, 4),
    "training state": lambda path: read_state(path, "k"),
}


def jit_state(path: Path) -> dict[str, torch.Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return dict(torch.jit.load(path, map_location="cpu").state_dict())


def test_the_attack_on_torchscript_is_real(tmp_path: Path) -> None:
    """What the readers must not do: TorchScript's own loader writes the file."""
    scripted(Opening(str(tmp_path / "mark")), tmp_path / "evil.pt")
    assert not (tmp_path / "mark").exists()
    jit_state(tmp_path / "evil.pt")
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_runs_what_a_file_brings(reader: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    hostile = tmp_path / "files"
    hostile.mkdir()
    hostile_files(hostile, mark)
    for path in sorted(hostile.iterdir()):
        with pytest.raises(BundleError) as error:
            READERS[reader](path)
        assert "\n" not in str(error.value), path
        assert not mark.exists(), path


def test_the_corpus_writes_nothing_and_starts_nothing(tmp_path: Path) -> None:
    mark, folder = tmp_path / "mark", tmp_path / "files"
    folder.mkdir()
    good_files(folder)
    hostile_files(folder, mark)
    before = sorted(folder.iterdir())
    found = read_watched(folder)
    assert found["events"] == []
    assert not mark.exists()
    assert sorted(folder.iterdir()) == before
    for name, outcome in found["outcomes"].items():
        expected = "read" if name.startswith("good") else "BundleError: "
        assert outcome.startswith(expected), (name, outcome)


def test_mutated_checkpoints_are_read_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    count = mutants(good_files(folder), folder, seed=17)
    found = read_watched(folder)
    assert found["events"] == []
    outcomes = [outcome for name, outcome in found["outcomes"].items() if name.startswith("mutant")]
    assert len(outcomes) == count
    assert {outcome.partition(":")[0] for outcome in outcomes} == {"read", "BundleError"}
    assert sum(outcome == "read" for outcome in outcomes) < count / 2


@pytest.mark.parametrize("module", [Plain(), torch.nn.Linear(2, 2), torch.nn.Sequential()])
def test_torchscript_gives_what_its_own_loader_gives(module: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "clip.pt"
    scripted(module.half(), path)
    assert_same(read_tensors(path), jit_state(path))


@pytest.mark.parametrize("options", [{}, {"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}])
def test_saved_tensors_are_what_torch_reads(options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    kept = {str(dtype): torch.ones(3, dtype=dtype) for dtype in (torch.bool, torch.bfloat16, torch.int64)}
    whole = {**state(), "types": kept, "sliced": torch.arange(12).reshape(3, 4)[1:, ::2], "none": None}
    whole["parameter"] = torch.nn.Parameter(torch.ones(2, 0))
    torch.save(whole, path, **options)
    assert_same(read_tensors(path), torch.load(path, weights_only=False))


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert (found.dtype, found.stride()) == (expected.dtype, expected.stride())
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for name in expected:
            assert_same(found[name], expected[name])
    else:
        assert found == expected


def test_a_state_of_a_training_must_be_one(tmp_path: Path) -> None:
    for changed in ({"parameters": {"a": 1}}, {"optimizer": []}, {"epoch": "1"}, {"unknown": 1}):
        torch.save({"key": "k", "parameters": {}, "optimizer": {}} | changed, tmp_path / "state.pt")
        with pytest.raises(BundleError, match=r"cannot be read .* remove it to start again"):
            read_state(tmp_path / "state.pt", "k")


def test_a_pickle_alone_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(BundleError, match=r"neither an archive of torch.save nor a file of its earlier form"):
        read_tensors(tmp_path / "a.pkl")
