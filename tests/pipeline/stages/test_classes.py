"""Class names of objects: the first rule that fits, and one clear line for what cannot work."""

import pytest

from s2sw.pipeline.stages.classes import class_rule
from s2sw.schemas.config import ClassSettings, ScreenConfig, run_fingerprint

KNOWN = ("bottle", "cable")


def test_patterns_then_folders_then_the_name() -> None:
    settings = ClassSettings(rules={"*/odd/*": "cable", "s3://lake/*": "cable"}, folders=True, name="bottle")
    rule = class_rule(settings, KNOWN, "b")
    assert rule is not None
    addresses = {
        "/line/bottle/odd/1.png": "cable",  # a pattern goes before a folder
        "/cable/bottle/2.png": "bottle",  # the nearest folder
        "/line/cable/day.zip!x/3.png": "cable",
        "s3://lake/bottle/4.png": "cable",
        "/line/cable.png": "bottle",  # a file is no folder
        "/line/Cable/5.png": "bottle",
    }
    assert {address: rule.class_of(address) for address in addresses} == addresses


def test_without_a_name_for_all_some_objects_have_none() -> None:
    rule = class_rule(ClassSettings(folders=True), KNOWN, "b")
    assert rule is not None
    assert rule.class_of("/line/1.png") is None


def test_one_class_name_needs_no_settings_and_none_allows_none() -> None:
    rule = class_rule(ClassSettings(), ("bottle",), "b")
    assert rule is not None
    assert rule.class_of("/anywhere.png") == "bottle"
    assert class_rule(ClassSettings(), (), "b") is None


@pytest.mark.parametrize(
    ("settings", "known", "message"),
    [
        (ClassSettings(), KNOWN, "classes: bundle b has the class names bottle, cable; say which object"),
        (
            ClassSettings(name="botle"),
            KNOWN,
            "classes.name: 'botle' is no class name of bundle b; it has bottle, cable",
        ),
        (ClassSettings(rules={"*": "x"}), KNOWN, r"classes.rules: \*: 'x' is no class name"),
        (ClassSettings(name="bottle"), (), "classes: bundle b asks for no class names"),
    ],
)
def test_what_cannot_work_is_said(settings: ClassSettings, known: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_rule(settings, known, "b")


def test_the_rule_and_the_order_of_its_patterns_are_in_the_fingerprint() -> None:
    def fingerprint(**classes: object) -> str:
        config = ScreenConfig.model_validate({"source": "/a", "output": "/b", "classes": classes})
        return run_fingerprint(config, "bundle", "fp32")

    found = [
        fingerprint(), fingerprint(name="a"), fingerprint(name="b"), fingerprint(folders=True),
        fingerprint(rules={"*1": "a", "*2": "b"}), fingerprint(rules={"*2": "b", "*1": "a"}),
    ]  # fmt: skip
    assert len(set(found)) == 6
