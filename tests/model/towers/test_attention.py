"""The ways to compute attention agree; the quicker one is taken, once a process."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from s2sw.model.towers import attention, onednn


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    monkeypatch.setattr(attention, "_way", None)
    monkeypatch.setattr(attention, "_measured", None)


def drawn(dtype: torch.dtype, rows: int = 37) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values as a block's projection gives them, not contiguous."""
    packed = torch.randn(2, 37, 3, 4, 16, generator=torch.Generator().manual_seed(1)).to(dtype)
    q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
    return q[:, :, :rows], k, v


@pytest.mark.parametrize(("dtype", "largest"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("rows", [37, 1])
def test_by_heads_agrees_with_the_kernel(dtype, largest, rows):
    q, k, v = drawn(dtype, rows)
    expected = functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
    attention.use("by_heads")
    found = attention.mixed(q, k, v)
    assert found.shape == expected.shape
    assert found.dtype == dtype
    assert (found.double() - expected).abs().max() < largest


def error_of(attend: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor) -> float:
    """The root mean square of what a way to attend is off, against that of the values themselves."""
    expected = functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
    return float(
        (attend(q, k, v).double() - expected).square().mean().sqrt() / expected.square().mean().sqrt()
    )


@pytest.fixture
def without_operators(monkeypatch):
    monkeypatch.setattr(onednn, "OPERATORS", object())


def test_by_heads_does_without_the_operators(without_operators):
    assert error_of(attention.by_heads, *drawn(torch.bfloat16)) < 1e-2


needs_products = pytest.mark.skipif(not onednn.present(), reason="this CPU or torch has no such products")


@needs_products
@pytest.mark.parametrize("louder", [1, 4])
@pytest.mark.parametrize("shared", [0, 100], ids=["keys-around-zero", "keys-far-from-zero"])
def test_exponentials_within_the_product_are_no_less_exact(monkeypatch, louder, shared):
    """Keys of trained towers have most of their length in common, which moves no result."""
    q, k, v = drawn(torch.bfloat16)
    q, k = q * louder, k + shared
    monkeypatch.setattr(attention, "by_softmax", pytest.fail)
    found = error_of(attention.by_heads, q, k, v)
    monkeypatch.undo()
    monkeypatch.setattr(onednn, "OPERATORS", object())
    assert found < min(1.5 * error_of(attention.by_heads, q, k, v), 1e-2)


@needs_products
def test_scores_too_far_below_their_bound_are_done_with_softmax(without_operators, monkeypatch):
    q, k, v = (x.clone() for x in drawn(torch.bfloat16))
    q[0, 1] *= 1e-3
    q[0, 1, 0], k[0, 1, 0] = 100, -100  # one long query and one long key, that point away from each other
    expected = attention.by_heads(q, k, v)
    monkeypatch.undo()
    done = []
    plain = attention.by_softmax
    monkeypatch.setattr(attention, "by_softmax", lambda *x: done.append(1) or plain(*x))
    found = attention.by_heads(q, k, v)
    assert len(done) == 1
    assert torch.equal(found[0, 1], expected[0, 1])
    assert found.isfinite().all()


@needs_products
def test_what_is_no_number_stays_none():
    q, k, v = drawn(torch.bfloat16)
    k[1, 2, 3, 4] = float("nan")
    wrong = attention.by_heads(q, k, v).isnan().flatten(2).any(-1)
    assert wrong.nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("times", "way"), [((1.0, 0.5), "by_heads"), ((1.0, 0.9), "fused"), ((1.0, 3.0), "fused")]
)
def test_the_way_that_is_clearly_quicker_is_taken(monkeypatch, times, way):
    slow = iter((3.0, 1.0, 2.0, 1.0))  # rounds that something disturbed, in turns

    def disturbed(*_):
        factor = next(slow)
        return times[0] * factor, times[1] * factor

    monkeypatch.setattr(attention, "_round", disturbed)
    assert attention.quicker() == way


def test_it_is_measured_once_a_process_and_for_bf16_alone(monkeypatch):
    measured = []
    monkeypatch.setattr(attention, "quicker", lambda: measured.append(1) or "by_heads")
    attention.mixed(*drawn(torch.float32))
    assert not measured
    q, k, v = drawn(torch.bfloat16)
    found = [attention.mixed(q, k, v) for _ in range(2)]
    assert len(measured) == 1
    assert torch.equal(found[0], attention.by_heads(q, k, v))
    q, k, v = drawn(torch.float32)
    kernel = functional.scaled_dot_product_attention(q, k, v)
    assert torch.equal(attention.mixed(q, k, v), kernel), "the way of bf16 was taken for float32"


def test_what_was_asked_for_is_not_measured(monkeypatch):
    monkeypatch.setattr(attention, "quicker", pytest.fail)
    attention.use("fused")
    q, k, v = drawn(torch.bfloat16)
    assert torch.equal(attention.mixed(q, k, v), functional.scaled_dot_product_attention(q, k, v))


def test_a_measurement_ends_in_one_of_the_ways():
    assert attention.quicker() in {"fused", "by_heads"}


def test_a_mask_is_added_whatever_way():
    q, k, v = drawn(torch.float32)
    mask = torch.full((37, 37), float("-inf")).triu(1)
    attention.use("by_heads")
    assert torch.equal(attention.mixed(q, k, v, mask), functional.scaled_dot_product_attention(q, k, v, mask))
