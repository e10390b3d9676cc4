"""A bundle that somebody else sealed: what its record says is bounded before anything is made of it."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner, Result

from s2sw.jobs.cli import app
from s2sw.model.bundles.record import BundleRecord, file_sha256, read_record
from s2sw.model.detectors.bundling import load_detector
from s2sw.model.detectors.ensemble import build_ensemble
from tests.support.bundles import bundle
from tests.support.memory import limited_to

HUGE = 10**9


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(tmp_path_factory.mktemp("sealed") / "bundle")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A bundle whose files a test may replace."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    for path in whole.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def seal(folder: Path, record: BundleRecord) -> None:
    """Write a record with the seals that fit, as anybody can."""
    whole = record.model_copy(update={"weights_sha256": file_sha256(folder / "weights.safetensors")})
    (folder / "bundle.json").write_text(whole.sealed().text(), encoding="utf-8")


def refused(folder: Path) -> Result:
    with limited_to(1 << 30):
        done = CliRunner().invoke(app, ["bundle", "verify", str(folder)])
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    return done


RECORDS: dict[str, dict[str, Any]] = {
    "input and grid": {"image_size": 8 * HUGE, "grid": HUGE},
    "grid": {"grid": 20_000},
    "a grid that is another one": {"grid": 6},
    "families": {"family_names": ("a",) * 10_000},
    "a long name": {"detector": "x" * 100_000},
}
VISION: dict[str, dict[str, Any]] = {
    "depth": {"layers": HUGE}, "width": {"width": 1 << 40}, "no heads": {"heads": 0}, "heads": {"heads": 7},
    "patch": {"patch": HUGE}, "positions": {"grid": HUGE}, "joint space": {"embed_dim": HUGE},
    "other depth": {"layers": 5}, "other width": {"width": 128}, "less than nothing": {"layers": -1},
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "first block": {"two_stream_from": HUGE}, "no first block": {"two_stream_from": 0},
    "taps": {"tap_blocks": [HUGE]}, "no taps": {"tap_blocks": []}, "many taps": {"tap_blocks": [1] * 100_000},
    "taps beyond the depth": {"tap_blocks": [5]}, "a mix of words": {"mix": ["0.9", "0.1"]},
    "a mix beyond one": {"mix": [1e30, 0.1]}, "a mix of none": {"mix": [float("nan"), 0.1]},
    "another kind": {"taps": {"a": 1}}, "another setting": {"code": "x"},
    "a huge number": {"registers": 10**400}, "registers": {"registers": HUGE},
    "class names": {"class_names": ["x"] * 1_000_000},
    "members": {"members": [{"weight": 1.0, "tower": 0, "record": {}}]},
}  # fmt: skip


@pytest.mark.parametrize("kind", RECORDS)
def test_numbers_of_the_record(copy: Path, kind: str) -> None:
    seal(copy, read_record(copy).model_copy(update=RECORDS[kind]))
    refused(copy)


@pytest.mark.parametrize("kind", VISION)
def test_numbers_of_the_tower(copy: Path, kind: str) -> None:
    record = read_record(copy)
    seal(copy, record.model_copy(update={"vision": replace(record.vision, **VISION[kind])}))
    refused(copy)


@pytest.mark.parametrize("kind", SETTINGS)
def test_settings_of_the_detector(copy: Path, kind: str) -> None:
    record = read_record(copy)
    seal(copy, record.model_copy(update={"settings": record.settings | SETTINGS[kind]}))
    refused(copy)


@pytest.mark.parametrize("detector", ["ensemble", "dino", "mvfa", "adaptclip", "embedded", "os.system"])
def test_a_bundle_under_another_name(copy: Path, detector: str) -> None:
    """Settings and tensors of that detector are missing."""
    seal(copy, read_record(copy).model_copy(update={"detector": detector}))
    refused(copy)


def without_vectors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name != "class_vectors"}


def wide(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors | {"visual.proj": torch.zeros(64, 1 << 20)}


def stray(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors | {"visual.transformer.resblocks.9.x": torch.zeros(1 << 24)}


def many_rows(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return tensors | {"memory.0": torch.zeros(1 << 25, 1, dtype=torch.float16)}


def doubled(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in tensors.items()}


@pytest.mark.parametrize("change", [without_vectors, wide, stray, many_rows, doubled])
def test_tensors_that_the_record_does_not_say(
    copy: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]
) -> None:
    path = copy / "weights.safetensors"
    changed = change(load_file(path))
    path.unlink()  # whose bytes are mapped
    save_file(changed, path)
    seal(copy, read_record(copy, check_weights=False))
    refused(copy)


def test_records_that_are_no_text_or_no_file(copy: Path) -> None:
    path = copy / "bundle.json"
    for text in ("[" * 200_000, '{"a":' * 200_000, "", "null", "9" * 10_000, json.dumps({"x": 1}) * 2):
        path.write_text(text)
        refused(copy)
    with path.open("wb") as file:
        file.truncate(200 << 30)
    assert "MiB" in refused(copy).stderr
    path.unlink()
    os.mkfifo(path)
    refused(copy)


def test_members_of_an_ensemble_are_bounded_as_well(whole: Path, tmp_path: Path) -> None:
    both = build_ensemble(tmp_path / "both", {whole: 1.0, bundle(tmp_path / "other", seed=6): 2.0})
    assert load_detector(both).family_names == ("s2swclip_1", "s2swclip_2")
    record = read_record(both)
    for change in ({"grid": HUGE}, {"detector": "ensemble"}, {"image_size": 16 * HUGE, "grid": 2 * HUGE}):
        members = [dict(member) for member in record.settings["members"]]
        members[1]["record"] = members[1]["record"] | change
        seal(both, record.model_copy(update={"settings": {"members": members}}))
        refused(both)
    for change in ({"tower": 9}, {"weight": float("inf")}, {"weight": -1.0}):
        members = [record.settings["members"][0], record.settings["members"][1] | change]
        seal(both, record.model_copy(update={"settings": {"members": members}}))
        refused(both)
