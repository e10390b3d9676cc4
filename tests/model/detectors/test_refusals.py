"""Checkpoints and settings of AdaptCLIP and MVFA-AD that are refused, each in one line that says why."""

import pytest
import torch

from s2sw.model.errors import BundleError
from tests.model.detectors import test_adaptclip, test_mvfa
from tests.support import checkpoints
from tests.support.checkpoints import drop, put
from tests.support.golden import DATA
from tests.support.golden_family import case

VISUAL, QUERY, TEXTUAL = "visual_learner", "pq_learner", "textual_learner"
MODULES = {"adaptclip": test_adaptclip, "mvfa": test_mvfa}
DAMAGED = {
    "adaptclip": [
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
    "mvfa": [
        (lambda c: c.pop("det_adapters"), "'det_adapters' is missing, which mvfa needs"),
        (lambda c: c.update(prompt_learner={}), "'prompt_learner' is unknown to mvfa"),
        (lambda c: c.update(seg_adapters=1), "'seg_adapters' is a int, no dict of tensors"),
        (lambda c: c["seg_adapters"].pop("2.fc2.0.weight"), "seg_adapters: '2.fc2.0.weight' is missing"),
        (lambda c: c["seg_adapters"].pop("0.fc1.0.weight"), "seg_adapters: '0.fc1.0.weight' is missing"),
        (lambda c: c["det_adapters"].update(bias=torch.zeros(1)), "det_adapters: 'bias' is unknown"),
        (
            lambda c: c["det_adapters"].update({"1.fc1.0.weight": torch.zeros(96, 127)}),
            r"det_adapters: '1.fc1.0.weight' is \(96, 127\) where .* call for \(96, 128\)",
        ),
        (
            lambda c: c["seg_adapters"]["0.fc1.0.weight"].fill_(torch.nan),
            "'0.fc1.0.weight' has values .* finite",
        ),
        (
            lambda c: c["seg_adapters"].update({"0.fc1.0.weight": torch.zeros(96, 128, dtype=torch.int64)}),
            "'0.fc1.0.weight' holds torch.int64, of the wrong kind",
        ),
    ],
}
WRONG = {
    "adaptclip": [
        ({"checkpoint": DATA / "golden_mvfa_ckpt.pth"}, "'textual_learner' is missing.* looks like .* mvfa"),
        ({"checkpoint": None}, "checkpoint: adaptclip needs the checkpoint"),
        ({"image_size": 42}, "image_size: 42 gives 9 patches; 10 are needed"),
        ({"tap_blocks": (5, 12, 18, 24)}, "tap_blocks .* from block 6 on"),
        ({"tap_blocks": (6, 12)}, "tap_blocks: 2 given, where the checkpoint has 4 levels"),
        ({"class_name": "nut"}, "class_name: it is for references"),
        ({"context": "maybe"}, "context: 'maybe' given; input should be a valid bool"),
        ({"maps": "fine"}, "maps: 'fine' given; 'exact' or 'compact'"),
    ],
    "mvfa": [
        (
            {"checkpoint": DATA / "golden_april_linear.pth"},
            "'trainable_linearlayer' is unknown|looks like .* april_gan",
        ),
        ({"checkpoint": DATA / "golden_a_prompts.pth"}, "looks like a checkpoint of s2swclip or anomalyclip"),
        ({"checkpoint": None}, "checkpoint: mvfa needs the checkpoint of the target class"),
        ({"checkpoint": "nowhere.pth"}, "nowhere.pth: no such file"),
        ({"tap_blocks": (6, 12)}, "tap_blocks: 2 given, where the checkpoint has 4 levels"),
        ({"tap_blocks": (6, 12, 18, 25)}, "tap_blocks .* up to 24"),
        ({"head": "both"}, "head: 'both' given; 'seg' or 'det' is needed"),
        ({"references": torch.zeros(1, 3, 9, 9)}, r"references: .*\(1, 3, 9, 9\)"),
        ({"domain": "medical"}, "domain: mvfa has no such option"),
    ],
}


def each(cases):
    return [pytest.param(name, *one, id=f"{name}-{n}") for name in cases for n, one in enumerate(cases[name])]


@pytest.mark.parametrize(("system", "change", "message"), each(DAMAGED))
def test_a_damaged_checkpoint_is_refused(tmp_path, system, change, message):
    module = MODULES[system]
    path = checkpoints.changed(module.CHECKPOINT, tmp_path, change)
    with pytest.raises(BundleError, match=message) as error:
        module.build(case(system), tmp_path, checkpoint=path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    assert system != "adaptclip" or "looks like a checkpoint of adaptclip" in str(error.value)


@pytest.mark.parametrize(("system", "options", "message"), each(WRONG))
def test_wrong_settings(tmp_path, system, options, message):
    with pytest.raises(BundleError, match=message):
        MODULES[system].build(case(system), tmp_path, **options)
    assert not list(tmp_path.iterdir())
