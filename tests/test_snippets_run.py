"""What README and docs show works: each snippet that does not say what it needs is run on a small output."""

import itertools
import sys
import types
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.pipeline.results.reading import open_results
from tests.support.snippet_world import World
from tests.support.snippets import ROOT, Snippet, snippets

pytestmark = pytest.mark.integration  # some start Ray, or processes that decode

ELSEWHERE = {
    "s2sw screen /archive": (  # builds profiles, which takes its time
        "tests/integration/test_profile.py",
        "tests/integration/test_profile_update.py",
        "tests/pipeline/profile/test_anonymous.py",
    ),
    "s2sw review": ("tests/jobs/test_review.py",),  # serves until it is stopped
}
"""Snippets whose commands other tests run, by how they start."""

WRITING = ("--to", "--html", "--json", "--markdown", "--profile")


def of(*languages: str) -> list[object]:
    return [
        pytest.param(one, id=one.place) for one in snippets(*languages) if not one.needs and not _lacking(one)
    ]


def _lacking(snippet: Snippet) -> list[str]:
    return [start for start in ELSEWHERE if snippet.text.removeprefix(".venv/bin/").startswith(start)]


def test_what_is_run_elsewhere_is_there() -> None:
    found = [(start, one) for one in snippets("sh") if not one.needs for start in _lacking(one)]
    assert sorted(start for start, _ in found) == sorted(ELSEWHERE)
    for start, snippet in found:
        tests = "".join((ROOT / test).read_text() for test in ELSEWHERE[start])
        for _, name, *words in snippet.commands:
            called = words[0] if name == "profile" else name
            assert f'"{called}"' in tests or f"{called}(" in tests, called


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("docs") / "world")
    world.build()
    return world


@pytest.fixture
def world(built: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return what snippets speak of, as if none had been run."""
    built.restore()
    monkeypatch.setenv("HOME", str(built.home))
    monkeypatch.chdir(built.work)
    return built


def run(words: list[str]) -> None:
    few = ["--limit", "4"] if words[0] == "screen" else []
    done = CliRunner().invoke(app, [*words, *few], catch_exceptions=False)
    assert done.exit_code == 0, f"s2sw {' '.join(words)}\n{done.output}"
    assert done.output.strip()
    for option, value in itertools.pairwise(words):
        assert option not in WRITING or value == "none" or Path(value).exists(), option


@pytest.mark.parametrize("snippet", of("sh"))
def test_commands_work(snippet: Snippet, world: World) -> None:
    for words in world.commands(snippet):
        run(words)


@pytest.mark.parametrize("snippet", of("sql"))
def test_questions_have_answers(snippet: Snippet, world: World) -> None:
    asked = open_results(world.told("/results")).sql(snippet.text)
    assert len(asked.columns) > 1
    if "flagged" not in snippet.text:
        assert asked.fetchall()


@pytest.mark.parametrize("snippet", of("yaml"))
def test_files_work(snippet: Snippet, world: World) -> None:
    told = yaml.safe_load(world.told(snippet.text))
    path = world.work / "told.yaml"
    if "datasets" in told:
        path.write_text(yaml.safe_dump(told))
        run(["evaluate", "--suite", str(path)])
        return
    path.write_text(
        yaml.safe_dump({"source": world.told("/archive"), "output": world.told("/results")} | told)
    )
    run(["screen", str(path), "--profile", "none"])


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    module = types.ModuleType("snippet")
    monkeypatch.setitem(sys.modules, "snippet", module)
    return module.__dict__


@pytest.mark.parametrize("snippet", of("python"))
def test_python_works(snippet: Snippet, world: World, namespace: dict[str, object]) -> None:
    exec(compile(world.told(snippet.text), snippet.place, "exec"), namespace)
