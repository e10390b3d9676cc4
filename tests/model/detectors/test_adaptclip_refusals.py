"""Checkpoints and settings of AdaptCLIP that are refused, each in one line that names what is wrong."""

import pytest
import torch

from s2sw.model.errors import BundleError
from tests.model.detectors.test_adaptclip import CHECKPOINT, build
from tests.support import checkpoints
from tests.support.checkpoints import drop, put
from tests.support.golden import DATA
from tests.support.golden_family import case


@pytest.fixture(scope="module")
def golden():
    return case("adaptclip")


VISUAL, QUERY, TEXTUAL = "visual_learner", "pq_learner", "textual_learner"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop(QUERY), "'pq_learner' is missing, which adaptclip needs"),
        (lambda c: c.update(extra={}), "'extra' is unknown to adaptclip"),
        (
            lambda c: c[VISUAL].update(
                {k.replace("adater", "adapter"): c[VISUAL].pop(k) for k in list(c[VISUAL])}
            ),
            "visual_learner: 'local_adater.fc.0.weight' is missing",
        ),
        (put(VISUAL, "local_adapter.fc.0.weight", torch.zeros(1)), "'local_adapter.fc.0.weight' is unknown"),
        (put(VISUAL, "global_adapter.fc.0.weight", torch.zeros(23, 96)), r"\(23, 96\) where .* \(24, 96\)"),
        (put(VISUAL, "global_adapter.fc.1.running_var", -torch.ones(24)), "running_var' has negative values"),
        (drop(QUERY, "sharebn.2.weight"), "'sharebn.2.bias' is unknown"),
        (drop(QUERY, "global_adapter.3.6.weight"), "pq_learner: 'global_adapter.3.6.weight' is missing"),
        (put(QUERY, "local_adapter.2.8.bias", torch.ones(2)), "'local_adapter.2.8.bias' differs from"),
        (put(QUERY, "sharebn.0.num_batches_tracked", torch.tensor(1.0)), "tracked' holds torch.float32"),
        (
            put(TEXTUAL, "ctx_pos", torch.full((1, 1, 12, 128), torch.nan)),
            "'ctx_pos' has values that are not",
        ),
        (put(TEXTUAL, "ctx_neg", torch.zeros(1, 1, 11, 128)), r"'ctx_neg' is \(1, 1, 11, 128\) where"),
        (
            put(TEXTUAL, "tokenized_prompts_neg", torch.zeros(1, 1, 77, dtype=torch.int32)),
            "'tokenized_prompts_neg' is not .*12 times 'x'",
        ),
    ],
)
def test_a_damaged_checkpoint_is_refused(golden, tmp_path, change, message):
    path = checkpoints.changed(CHECKPOINT, tmp_path, change)
    with pytest.raises(BundleError, match=message) as error:
        build(golden, tmp_path, checkpoint=path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    assert "looks like a checkpoint of adaptclip" in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"checkpoint": DATA / "golden_mvfa_ckpt.pth"}, "'textual_learner' is missing.* looks like .* mvfa"),
        ({"checkpoint": None}, "checkpoint: adaptclip needs the checkpoint"),
        ({"image_size": 42}, "image_size: 42 gives 9 patches; 10 are needed"),
        ({"tap_blocks": (5, 12, 18, 24)}, "tap_blocks .* from block 6 on"),
        ({"tap_blocks": (6, 12)}, "tap_blocks: 2 given, where the checkpoint has 4 levels"),
        ({"class_name": "nut"}, "class_name: it tells references apart"),
        ({"context": "maybe"}, "context: 'maybe' given; input should be a valid bool"),
        ({"maps": "fine"}, "maps: 'fine' given; 'exact' or 'compact'"),
    ],
)
def test_wrong_settings(golden, tmp_path, options, message):
    with pytest.raises(BundleError, match=message):
        build(golden, tmp_path, **options)
    assert not list(tmp_path.iterdir())
