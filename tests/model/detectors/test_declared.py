"""What a system declares is what the documentation says; errors name the option."""

import sys
import types
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from s2sw.jobs.bundle import app
from s2sw.model import build_bundle, load_detector
from s2sw.model.detectors import registry
from s2sw.model.detectors.registry import SYSTEMS, detector_kind, options_of
from s2sw.model.errors import BundleError
from tests.support.declared_tables import options_table, systems_table
from tests.support.family import CLASSES, SIDE, clip, random

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(("page", "table"), [("detectors.md", options_table), ("weights.md", systems_table)])
def test_the_documentation_has_the_declared_table(page, table):
    """Where this fails, the table that belongs on the page is printed."""
    assert table() in (DOCS / page).read_text(), f"docs/{page} lacks this table:\n{table()}"


@pytest.fixture
def worked_example(monkeypatch):
    """Register the system that docs/detectors.md adds, from the page's own lines."""
    page = (DOCS / "detectors.md").read_text()
    source = next(part for part in page.split("```python\n") if part.startswith('"""Nearest')).partition(
        "```"
    )[0]
    module = types.ModuleType("nearest")
    exec(compile(source, "docs/detectors.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "nearest", module)
    for known in (registry.SYSTEMS, registry.DETECTORS):
        monkeypatch.setitem(known, "nearest", "nearest")


def test_the_worked_example_works(worked_example, tmp_path):
    normal = {name: random(2, 3, SIDE, SIDE, seed=seed) for seed, name in enumerate(CLASSES)}
    detector = load_detector(
        build_bundle(tmp_path / "b", clip(), detector="nearest", references=normal, image_size=SIDE)
    )
    assert detector.class_names == CLASSES
    score, full = detector.raw(normal["nut"], ["nut", "nut"])
    assert (score.max(), full.max()) < (1e-6, 1e-6), "normal pictures are at no distance from themselves"
    assert detector.detect_normalized(normal["nut"], ["bolt", "bolt"]).score.min() > 1e-3
    assert [name for name, _ in detector.patch_features(normal["nut"])] == [
        f"block_{n}" for n in (1, 2, 3, 4)
    ]
    shown = CliRunner().invoke(app, ["build", "nearest", "--help"], env={"COLUMNS": "200"}).output
    assert "needs normal pictures" in shown
    assert " --references " in shown
    done = CliRunner().invoke(app, ["build", "nearest", str(tmp_path / "c"), "--linear", "x"])
    assert "linear: nearest has no such option; it has class_name, references, tap_blocks" in done.output


@pytest.mark.parametrize("name", SYSTEMS)
def test_everything_is_declared(name):
    kind = detector_kind(name)
    assert kind.publication is not None
    assert kind.options.model_config["frozen"]
    for field in kind.options.model_fields.values():
        assert field.description
        assert "|" not in field.description


@pytest.mark.parametrize(
    ("system", "given", "message"),
    [
        ("winclip", {"class_name": "nut", "linear": "x"}, "linear: winclip has no such .* of april_gan"),
        ("winclip", {"class_name": "nut", "size": 3}, "size: winclip has no such option; it has class_name"),
        ("winclip", {}, "class_name: winclip needs the name of what the pictures show"),
        ("winclip", {"class_name": ["a", 3]}, "class_name: 3 given; input should be a valid string"),
        ("s2swclip", {"taps": "all"}, "taps: 'all' given; 'released' or 'per_layer' is needed"),
        ("s2swclip", {"mix": (1, 1)}, r"mix: \(1.0, 1.0\) given; two weights"),
        (
            "s2swclip",
            {"two_stream_from": "x" * 99},
            "two_stream_from: 'x{59} given; input should be a valid int",
        ),
        ("s2swclip", {"prompts": torch.zeros(3)}, r"prompts: tensor\(\[0., 0., 0.\]\) given"),
        ("ensemble", {"prompts": "x"}, "prompts: ensemble has no such option; it has none"),
    ],
)
def test_errors_are_one_line_that_names_the_option(system, given, message):
    with pytest.raises(BundleError, match=message) as error:
        options_of(system, given)
    assert "\n" not in str(error.value)


def test_what_is_left_open_is_the_default():
    options = options_of("april_gan", {"class_name": "nut", "linear": "x.pth", "references": None})
    assert options.model_dump(exclude={"linear"}) == {
        "class_name": ("nut",), "tap_blocks": None, "maps": "exact", "references": None, "calibration": None,
    }  # fmt: skip
