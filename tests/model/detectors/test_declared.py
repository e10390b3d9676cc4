"""What a system declares is what the documentation says; errors name the option."""

from pathlib import Path

import pytest
import torch

from s2sw.model.detectors.registry import SYSTEMS, detector_kind, options_of
from s2sw.model.errors import BundleError
from tests.support.declared_tables import options_table, systems_table

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize(("page", "table"), [("detectors.md", options_table), ("weights.md", systems_table)])
def test_the_documentation_has_the_declared_table(page, table):
    """Where this fails, the table that belongs on the page is printed."""
    assert table() in (DOCS / page).read_text(), f"docs/{page} lacks this table:\n{table()}"


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
