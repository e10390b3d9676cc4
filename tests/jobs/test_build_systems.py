"""Building bundles: a sub-command a system, made of what it declares, its older form, and its file."""

import pytest
import torch
from typer.testing import CliRunner

from s2sw.jobs.build_systems import declared, spelling
from s2sw.jobs.bundle import app
from s2sw.model import load_detector
from s2sw.model.detectors.registry import SYSTEMS, detector_kind
from s2sw.model.weights.clip import clip_from_tensors
from s2sw.model.weights.load_options import LoadOptions
from tests.support import checkpoints, small_clip
from tests.support.archives import encoded, texture

runner = CliRunner()


@pytest.fixture
def weights(tmp_path):
    small_clip.save_safetensors(small_clip.state_dict(), tmp_path / "clip.safetensors")
    learner = {"ctx_pos": torch.ones(1, 1, 2, 64), "ctx_neg": -torch.ones(1, 1, 2, 64)}
    torch.save({"prompt_learner": learner}, tmp_path / "prompts.pth")
    return tmp_path


@pytest.fixture
def normals(weights):
    """Two folders of pictures named like classes."""
    for number in range(4):
        path = weights / "normal" / ("nut" if number % 2 else "bolt") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(texture(50, 60, number), "PNG"))
    return weights / "normal"


def test_both_forms_of_the_command_are_one(weights):
    """A system as a sub-command, and as an option in any place: the same bundle, byte for byte."""
    common = ["--clip", str(weights / "clip.safetensors"), "--image-size", "40"]
    own = ["--prompts", str(weights / "prompts.pth")]
    forms = {
        "new": ["anomalyclip", "new", *common, *own],
        "old": ["old", *common, "--detector", "anomalyclip", *own],
        "first": ["--detector=anomalyclip", *own, *common, "first"],
        "last": ["last", *common, *own, "--detector", "winclip", "--detector", "anomalyclip"],
    }
    contents = []
    for name, arguments in forms.items():
        done = runner.invoke(app, ["build", *(str(weights / name) if a == name else a for a in arguments)])
        assert done.exit_code == 0, done.output
        contents.append({path.name: path.read_bytes() for path in (weights / name).iterdir()})
    assert contents[0] == contents[1] == contents[2] == contents[3]


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_declared_option_is_on_the_command_line(name):
    """With its description; those of other systems are not shown, and end in one line that names both."""
    kind = detector_kind(name)
    shown = runner.invoke(app, ["build", name, "--help"], env={"COLUMNS": "200"}).output
    for option, field in declared(name).items():
        name_of_flag, of_type = spelling(option, field)
        flag = "--" + name_of_flag.replace("_", "-")
        assert (f" {flag} " in shown) == (option in kind.options.model_fields)
        if option not in kind.options.model_fields:
            done = runner.invoke(app, ["build", name, "out", flag, *([] if of_type is bool else ["1"])])
            assert done.exit_code == 2
            assert f"{option}: {name} has no such option; it has" in done.output
            assert f"; {option} is an option of " in done.output
            assert done.output.count("s2sw:") == 1


def test_an_unknown_system_is_one_line(weights):
    done = runner.invoke(app, ["build", str(weights / "out"), "--detector", "nobody"])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "detector: 'nobody' is unknown; known are aa_clip, adaptclip" in done.output


TAPS = ["--tap-blocks", "2", "--tap-blocks", "4"]
DESCRIBED = ["--class-name", "nut", "--description", "nut=a hexagonal nut"]


def family_options(weights, of):
    """What the systems with checkpoints of their own are built from on the command line."""

    def file(name, found):
        return str(checkpoints.saved(found, weights / name))

    adaptor, prompt = checkpoints.af_clip_adaptor(of), checkpoints.af_clip_prompt(of)
    image = file("i.pth", checkpoints.aa_clip_image(of))
    return {
        "adaptclip": ["--checkpoint", file("a.pth", checkpoints.adaptclip(of)), "--maps", "compact"],
        "af_clip": ["--prompt", file("p.pt", prompt), "--adaptor", file("b.pt", adaptor), *TAPS],
        "aa_clip": ["--image-adapter", image, *DESCRIBED, "--domain", "medical"],
        "mvfa": ["--checkpoint", file("m.pth", checkpoints.mvfa(of)), "--class-name", "Brain", "--augment"],
    }


@pytest.mark.parametrize("system", ["adaptclip", "af_clip", "aa_clip", "mvfa"])
def test_systems_with_checkpoints_of_their_own(weights, normals, system):
    of = clip_from_tensors(small_clip.state_dict(), "small", LoadOptions("quick_gelu"))
    options = family_options(weights, of)[system]
    few = [] if system == "aa_clip" else ["--references", str(normals)]
    command = [
        "build",
        system,
        str(weights / "out"),
        "--clip",
        str(weights / "clip.safetensors"),
        "--image-size",
        "40",
    ]
    done = runner.invoke(app, [*command, *options, *few, "--activation", "quick_gelu"])
    assert done.exit_code == 0, done.output
    assert f"detector         {system}" in done.output
    loaded = load_detector(weights / "out")
    assert loaded.detect(texture(50, 60, 9)[None]).score.shape == (1,)
    if system == "adaptclip":  # all pictures are of one kind where no class names are given
        assert loaded.class_names == ()
        assert loaded.memory.classes[0]["tap_0"].shape[0] == 4 * 25
    if system == "mvfa":
        assert loaded.memory.classes[0]["seg_0"].shape[0] == 11 * 4 * 26


def test_references_of_several_kinds_need_no_other_class_names(weights, normals):
    of = clip_from_tensors(small_clip.state_dict(), "small", LoadOptions("quick_gelu"))
    command = [
        "build",
        "af_clip",
        str(weights / "out"),
        "--clip",
        str(weights / "clip.safetensors"),
        "--image-size",
        "40",
    ]
    own = family_options(weights, of)["af_clip"]
    done = runner.invoke(
        app, [*command, *own, "--references", str(normals), "--class-name", "nut", "--class-name", "bolt"]
    )
    assert done.exit_code == 0, done.output
    assert load_detector(weights / "out").class_names == ("nut", "bolt")


def file_of(folder, text):
    (folder / "bundle.yaml").write_text(text)
    return str(folder / "bundle.yaml")


def test_a_file_is_the_command_line(weights, normals):
    """Lists, mappings and switches; what stands behind the file on the command line counts."""
    of = clip_from_tensors(small_clip.state_dict(), "small", LoadOptions("quick_gelu"))
    image = checkpoints.saved(checkpoints.aa_clip_image(of), weights / "i.pth")
    text = f"""
        detector: aa_clip
        out: {weights}/out
        clip: {weights}/clip.safetensors
        image_size: 64
        image_adapter: {image}
        class_name: [nut, bolt]
        description: {{nut: a hexagonal nut}}
        tap_blocks: [1, 2, 3, 4]
    """
    done = runner.invoke(app, ["build", file_of(weights, text), "--image-size", "40", "--domain", "medical"])
    assert done.exit_code == 0, done.output
    loaded = load_detector(weights / "out")
    assert (loaded.name, loaded.image_size, loaded.domain, loaded.class_names) == (
        "aa_clip", 40, "medical", ("nut", "bolt"),
    )  # fmt: skip
    mvfa = checkpoints.saved(checkpoints.mvfa(of), weights / "m.pth")
    text = f"""
        detector: mvfa
        out: {weights}/mvfa
        clip: {weights}/clip.safetensors
        image_size: 40
        checkpoint: {mvfa}
        class_name: nut
        references: {normals}
        augment: true
    """
    done = runner.invoke(app, ["build", file_of(weights, text)])
    assert done.exit_code == 0, done.output
    assert load_detector(weights / "mvfa").memory.classes[0]["det_0"].shape[0] == 11 * 4 * 26


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detector: winclip\nclass_name: nut", "'out' is missing"),
        ("out: x\nsize: 3", "unknown key 'size'; known are detector, out, clip, image_size"),
        ("out: x\ndetector: nobody", "detector: 'nobody' is unknown"),
        ("out: x\ndetector: winclip\ntaps: released", "taps: winclip has no such option"),
        ("- out", "keys and values are expected"),
        ("a: b: c", "not valid YAML"),
    ],
)
def test_wrong_files_are_one_line(weights, text, message):
    done = runner.invoke(app, ["build", file_of(weights, text)])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert message in done.output


def test_a_file_that_is_not_there(tmp_path):
    done = runner.invoke(app, ["build", str(tmp_path / "no.yaml")])
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "no.yaml: No such file or directory" in done.output
