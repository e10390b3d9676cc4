"""The GPU stages run from their script: on a CPU, with tiny weights, where Ray cannot be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu import parity, run
from benchmarks.gpu.carry import GOLDEN, ROOT, gather
from benchmarks.gpu.float8 import Float8Linear, on_gpu, scaled, written_out
from benchmarks.gpu.options import Options
from s2sw.model.precision import multiplies_bf16
from tests.support.bare_machine.sitecustomize import LACKING

BARE = ROOT / "tests" / "support" / "bare_machine"
CASES = ("mvfa_few",)
FIGURES = {
    "parity": (*CASES, "embedded", "failed"),
    "speed": ("peak", "plain", "eager.1", "eager.2", "compiled.2", "kernels.eager.2", "attention", "float8"),
    "detect_stage": ("98x98.in_hand_2.mask_threads_8", "host_ms.300x400"),
    "jpeg": ("pillow.64", "torchvision.64"),
    "embedded": ("fp32.eager.1", "bf16.eager.2", "memory.embedded"),
}


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("carried") / "gpu"
    gather(folder, CASES, pictures=2)
    return folder


def rehearse(carried: Path, out: Path) -> dict[str, dict[str, object]]:
    """Run the script on a bare machine; return what each stage has written down."""
    environment = os.environ | {"OUT": str(out), "PYTHON": sys.executable, "PYTHONPATH": str(BARE)}
    script = [str(ROOT / "benchmarks" / "gpu" / "run.sh"), "--device", "cpu", "--quick"]
    command = [*script, "--carried", str(carried), "--only", ",".join(FIGURES)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    account = json.loads((out / "run.json").read_text())
    assert {name: entry["state"] for name, entry in account.items()} == dict.fromkeys(FIGURES, "done")
    log = (out / "log.txt").read_text()
    assert all(f"== {name}" in log for name in FIGURES)
    return {name: json.loads((out / f"{name}.json").read_text()) for name in FIGURES}


@pytest.mark.skipif(not multiplies_bf16(torch.device("cpu")), reason="this CPU has no bf16 products")
def test_the_script_measures_everything(carried: Path, tmp_path: Path) -> None:
    for name, found in rehearse(carried, tmp_path).items():
        assert found["machine"]["torch"] == torch.__version__  # type: ignore[index]
        for figure in FIGURES[name]:
            assert "failed" not in str(found[figure]) or figure == "attention", figure


def test_the_bare_machine_lacks_what_it_should() -> None:
    code = f"for name in {sorted(LACKING)!r}:\n try: __import__(name)\n except ImportError: print(name)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(BARE)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.split() == sorted(LACKING)


def test_a_run_fits_into_ten_minutes() -> None:
    assert sum(stage.seconds for stage in run.STAGES) <= run.SECONDS <= 570
    assert {case.name for case in parity.CASES} == set(GOLDEN)


def options(tmp_path: Path) -> Options:
    return Options("cpu", True, tmp_path, tmp_path, tmp_path)


def write_and_hang(given: Options) -> None:
    (given.out / "begun").write_text("")
    torch.multiprocessing.get_context("fork").Event().wait()


def test_a_stage_that_hangs_is_ended_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "make_large", lambda given: None)
    stages = (
        run.Stage("hangs", write_and_hang, 1, large=False),
        run.Stage("fails", lambda given: sys.exit(3), 60, large=False),
        run.Stage("works", lambda given: None, 60),
    )
    assert not run.run_stages(options(tmp_path), stages)
    account = json.loads((tmp_path / "run.json").read_text())
    assert {name: entry["state"] for name, entry in account.items()} == {
        "hangs": "timed out", "fails": "failed (3)", "works": "done",
    }  # fmt: skip


def test_a_float8_layer_is_close_to_the_layer_that_it_replaces() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(48, 64, generator=generator), torch.randn(2, 5, 64, generator=generator)
    bias = torch.randn(48, generator=generator)
    layer = Float8Linear(weight.bfloat16(), bias.bfloat16())
    plain = torch.nn.functional.linear(x, weight, bias)
    error = (layer(x.bfloat16()).float() - plain).norm() / plain.norm()
    assert error < 0.06  # three bits of mantissa on both sides


def test_the_product_on_a_gpu_is_the_one_that_is_rehearsed() -> None:
    generator = torch.Generator().manual_seed(0)
    rows, row_scale = scaled(torch.randn(32, 64, generator=generator))
    weight, scale = scaled(torch.randn(48, 64, generator=generator))
    given = rows, row_scale, weight, scale.T.contiguous(), torch.zeros(48, dtype=torch.bfloat16)
    try:
        found = on_gpu(*given)
    except RuntimeError as error:
        pytest.skip(f"this CPU's product takes one scale a tensor: {str(error)[:60]}")
    torch.testing.assert_close(found, written_out(*given), rtol=1e-2, atol=1e-2)
