"""What detectors of a run compute in, and how: chosen once, the same in all of them and in later runs."""

from pathlib import Path

import pytest

from s2sw.model.precision import Precision
from s2sw.pipeline.checks import processor
from s2sw.pipeline.run import products, resources
from s2sw.pipeline.run.resources import plan_resources
from s2sw.pipeline.stages.detect_settings import load
from s2sw.schemas.config import ClusterSettings
from s2sw.schemas.errors import UserError

FLAGS = "processor\t: 0\nmodel name\t: {}\nflags\t\t: fpu avx2 {}\nbugs\t\t:\n"
HERE = ClusterSettings()
CLUSTER = ClusterSettings(address="auto")


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "machine_gpus", lambda: 0)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "s2sw"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The precisions that were measured; each time by heads is quicker."""
    asked: list[str] = []

    def measure(precision: str) -> str:
        asked.append(precision)
        return "by_heads"

    monkeypatch.setattr(products, "_measured", measure)
    return asked


def this_is(monkeypatch: pytest.MonkeyPatch, folder: Path, flags: str, name: str = "one") -> None:
    info = folder / "cpuinfo"
    info.write_text(FLAGS.format(name, flags))
    monkeypatch.setattr(processor, "CPU_INFO", info)


@pytest.mark.parametrize("asked", ["bf16", "int8"])
def test_what_would_be_slower_is_refused(asked: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_multiplies", lambda precision, device: False)
    with pytest.raises(UserError, match=f"precision: {asked} was asked for, but this CPU has no"):
        plan_resources(HERE, "cpu", precision=asked)
    assert plan_resources(CLUSTER, "cpu", precision=asked).precision == asked
    assert plan_resources(HERE, "cpu", precision="fp32").device == "cpu"


def test_int8_is_for_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "machine_gpus", lambda: 1)
    with pytest.raises(UserError, match=r"precision: int8 .* for CPUs; use bf16, or device: cpu"):
        plan_resources(HERE, "auto", precision="int8")


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("flag", "precision"), [("avx512_bf16", "bf16"), ("amx_bf16 amx_tile", "bf16"), ("avx512f", "fp32")]
)
def test_auto_is_bf16_where_the_processor_multiplies_it(
    flag: str, precision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    this_is(monkeypatch, tmp_path, flag)

    def planned(profiled: str | None = None, settings: ClusterSettings = HERE) -> str:
        return plan_resources(settings, "auto", precision="auto", profiled=profiled).precision

    assert planned() == precision
    assert planned(profiled="bf16") == precision
    assert planned(profiled="fp32") == "fp32"
    assert planned(settings=CLUSTER) == "fp32"  # of other nodes' processors nothing is known


def test_auto_is_fp32_where_nothing_is_known_of_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processor, "CPU_INFO", tmp_path / "none")
    assert plan_resources(HERE, "auto", precision="auto").precision == "fp32"


def test_attention_is_measured_for_lower_precisions_alone(
    monkeypatch: pytest.MonkeyPatch, measured: list[str]
) -> None:
    monkeypatch.setattr(products, "_multiplies", lambda precision, device: True)
    assert plan_resources(HERE, "cpu", precision="fp32").attention == "fused"
    assert plan_resources(HERE, "cpu", precision="fp32", attention="by_heads").attention == "by_heads"
    assert plan_resources(HERE, "cpu", precision="bf16", attention="fused").attention == "fused"
    assert not measured
    assert plan_resources(HERE, "cpu", precision="bf16").attention == "by_heads"
    assert plan_resources(HERE, "cpu", precision="int8").attention == "by_heads"
    assert measured == ["bf16", "int8"]


def test_a_machine_measures_once(
    monkeypatch: pytest.MonkeyPatch, measured: list[str], tmp_path: Path, cache: Path
) -> None:
    this_is(monkeypatch, tmp_path, "avx512_bf16")
    assert [products.quicker_here("bf16") for _ in range(2)] == ["by_heads"] * 2
    assert len(measured) == 1
    this_is(monkeypatch, tmp_path, "avx512_bf16", name="another")
    assert products.quicker_here("bf16") == "by_heads"
    assert len(measured) == 2
    for file in cache.iterdir():
        file.write_bytes(b"\xff" * 99)
    assert products.quicker_here("bf16") == "by_heads"
    assert len(measured) == 3
    assert products.quicker_here("bf16") == "by_heads"
    assert len(measured) == 3


def test_without_a_cache_each_run_measures(
    monkeypatch: pytest.MonkeyPatch, measured: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert [products.quicker_here("bf16") for _ in range(2)] == ["by_heads"] * 2
    assert len(measured) == 2


def test_a_machine_that_cannot_compute_what_rows_say_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2sw.model.precision.multiplies", lambda precision, device: False)
    with pytest.raises(UserError, match="precision: bf16 is not multiplied by"):
        load(Path("bundle"), "cpu", "bf16")
