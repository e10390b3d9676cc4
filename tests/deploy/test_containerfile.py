"""What deploy/Containerfile says, short of building it; ``make image-check`` makes its steps."""

from pathlib import Path

import pytest

from tests.support.containerfile import Containerfile, assignments, copy_of, expanded, parse

ROOT = Path(__file__).parents[2]
TARGETS = ("cpu", "cuda")


@pytest.fixture(scope="module")
def ours() -> Containerfile:
    return parse((ROOT / "deploy/Containerfile").read_text())


def line_of(file: Containerfile, target: str) -> list[str]:
    """Return the stages that a target is made of, its base at last."""
    names = [target]
    while (base := file.stages[names[-1]].base) in file.stages:
        names.append(base)
    return names


def test_both_targets_run_as_an_account_of_their_own(ours: Containerfile) -> None:
    for target in TARGETS:
        steps = [step for name in line_of(ours, target)[::-1] for step in ours.stages[name].steps]
        users = [step.words for step in steps if step.name == "USER"]
        assert users, target
        assert users[-1].split(":")[0] not in ("0", "root")
        (added,) = (step.words for step in steps if step.name == "RUN")
        assert f"--uid {users[-1].split(':')[0]} " in added
        assert not any("pip" in step.words for step in steps if step.name == "RUN"), "nothing is installed"


def test_what_is_copied_is_there_and_not_ignored(ours: Containerfile) -> None:
    known = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [
        source
        for stage in ours.stages.values()
        for step in stage.steps
        if step.name == "COPY" and not (copy := copy_of(step.words)).stage
        for source in copy.sources
    ]
    assert sorted(f"!{source}" for source in sources) == sorted(known)
    assert all((ROOT / source).exists() for source in sources)


def test_every_version_is_pinned(ours: Containerfile) -> None:
    installs = [
        part
        for stage in ours.stages.values()
        for step in stage.steps
        if step.name == "RUN"
        for part in step.words.split("&&")
        if "pip install" in part
    ]
    assert len(installs) == 3
    assert all("--constraint constraints.txt" in part for part in installs)


@pytest.mark.parametrize(
    "text",
    [
        "RUN true",
        "FROM base",
        "FROM base AS one\nFROM base AS one",
        "FROM base AS one\nADD a b",
        "FROM base AS one\nHEALTHCHECK NONE",
    ],
)
def test_what_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not known here|a name of its own"):
        parse(text)


def test_words() -> None:
    text = '# one\nARG BASE=a:1\nFROM ${BASE} AS one\nRUN a \\\n    && b\n# two\nCMD ["x", "y z"]\n'
    read = parse(text)
    run, cmd = read.stages["one"].steps
    assert (read.arguments, read.stages["one"].base) == ({"BASE": "a:1"}, "${BASE}")
    assert run.words.split() == ["a", "&&", "b"]
    assert cmd.exec_form == ["x", "y z"]
    assert assignments("PATH=/a:${PATH} B='c d'", {"PATH": "/b"}) == {"PATH": "/a:/b", "B": "c d"}
    assert copy_of("--from=one a b /c").stage == "one"
    for odd in ("$BASE", "${OTHER}", "${BASE:-x}"):
        with pytest.raises(ValueError, match="not known here"):
            expanded(odd, {"BASE": "a"})
    with pytest.raises(ValueError, match="not known here"):
        copy_of("--chown=1 a b")
