"""Fusion of the text families, with its variance filter, and the entropies."""

import logging

import numpy as np
import pytest
import torch
from scipy.stats import entropy, pearsonr

from s2sw.model.heads.fusion import class_vectors, fuse
from s2sw.model.heads.similarity import entropies


def features(scales):
    rng = np.random.default_rng(0)
    return [torch.from_numpy(rng.standard_normal(64) * scale).float() for scale in scales]


@pytest.mark.parametrize(("scales", "kept"), [((1, 1), [0, 1]), ((1, 0.1), [0]), ((0.1, 1), [1])])
def test_variance_filter(scales, kept):
    state, obj, defect = features((*scales, 1))
    mean = torch.stack([[state, obj][i] for i in kept]).mean(dim=0)
    expected = pearsonr(obj, state).statistic * mean + defect
    torch.testing.assert_close(fuse(state, obj, defect), expected.float(), rtol=1e-4, atol=1e-6)


def test_none_kept_takes_both_and_says_so(caplog):
    state, obj, defect = features((0.1, 0.1, 1))
    with caplog.at_level(logging.WARNING):
        found = fuse(state, obj, defect)
    expected = pearsonr(obj, state).statistic * (state + obj) / 2 + defect
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-6)
    assert "vary too little" in caplog.text


def test_no_gradient_through_the_fusion():
    state, obj, defect = (torch.randn(2, 64, requires_grad=True) for _ in range(3))
    vectors = class_vectors(state, obj, defect)
    assert vectors.shape == (4, 2, 64)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(4, 2))
    through_fusion = torch.autograd.grad(vectors[2].sum(), [state, obj, defect], retain_graph=True)
    assert not any(g.any() for g in through_fusion)
    assert torch.autograd.grad(vectors[3].sum(), defect)[0].any()


def test_entropies_equal_scipy():
    x = torch.randn(5, 96, generator=torch.Generator().manual_seed(0))
    p = x.double().softmax(dim=-1).numpy()
    shannon, renyi = entropies(x)
    np.testing.assert_allclose(shannon, [entropy(row) for row in p], rtol=1e-5)
    np.testing.assert_allclose(renyi, 2 * np.log(np.sqrt(p).sum(axis=-1)), rtol=1e-5)
