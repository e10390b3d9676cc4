"""bf16 and int8 where the processor has products for them, float32 with a warning where it has none."""

import pytest
import torch

from s2sw.model import load_detector, precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")
multiplies_bf16 = precision.multiplies_bf16


@pytest.fixture(params=[False])
def products(request, monkeypatch):
    """Let the processor have products for bf16 or not, as the test is marked."""
    monkeypatch.setattr(precision, "multiplies_bf16", multiplies_bf16)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: request.param)


@pytest.mark.parametrize("products", [True], indirect=True)
def test_a_processor_with_products_uses_them(products, recwarn):
    assert precision.usable("bf16", CPU) == "bf16"
    assert precision.quick_type(CPU) is torch.bfloat16
    assert not recwarn


def test_a_gpu_always_has_them(products):
    assert precision.usable("bf16", GPU) == "bf16"


def test_float32_stays_float32(products, recwarn):
    assert precision.usable("fp32", CPU) == "fp32"
    assert precision.quick_type(CPU) is torch.float32
    assert not recwarn


def test_without_them_a_detector_computes_in_float32(products, bundle):
    with pytest.warns(UserWarning, match="no bf16 products"):
        detector = load_detector(bundle, precision="bf16")
    assert detector.precision == "fp32"
    assert {tensor.dtype for tensor in detector.tower.parameters()} == {torch.float32}


def test_without_int8_products_a_detector_computes_in_float32(monkeypatch, bundle):
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    with pytest.warns(UserWarning, match="this CPU has no int8 products"):
        detector = load_detector(bundle, precision="int8")
    assert detector.precision == "fp32"


def test_int8_is_for_cpus():
    with pytest.warns(UserWarning, match="this device has no int8 products"):
        assert precision.usable("int8", GPU) == "fp32"


@pytest.mark.parametrize(("itself", "tokens"), [(True, torch.bfloat16), (False, torch.float32)])
def test_int8_leaves_tokens_in_what_the_processor_multiplies_itself(monkeypatch, itself, tokens):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: itself)
    assert precision.token_type("int8") is tokens
