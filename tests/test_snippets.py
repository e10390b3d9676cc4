"""What README and docs show can be typed: commands and options, job files, names to import."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
import yaml

from s2sw.jobs.cli import app
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.suite import Suite

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def snippets(language: str) -> Iterator[tuple[str, str]]:
    """Yield the blocks of a language, with where they stand."""
    for page in PAGES:
        text = page.read_text()
        for found in FENCE.finditer(text):
            if found[1] == language:
                yield f"{page.name}:{text[: found.start()].count(chr(10)) + 1}", found[2]


def commands() -> list[tuple[str, list[str]]]:
    """Return the words of each ``s2sw`` command in blocks without a language, lines joined."""
    found = []
    for place, text in (*snippets(""), *snippets("sh"), *snippets("bash")):
        for line in text.replace("\\\n", " ").splitlines():
            words = shlex.split(line.replace("[", "\\["), comments=True)
            if words and Path(words[0]).name == "s2sw":
                found.append((place, words[1:]))
    return found


def parse(command: click.Command, words: list[str]) -> None:
    """Take the words as the command line does, without doing anything. Raises click.UsageError."""
    context = command.make_context("s2sw", list(words))
    if isinstance(command, click.Group):
        _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None
        parse(inner, rest)


def test_there_are_snippets() -> None:
    assert len(commands()) > 15
    assert len(list(snippets("python"))) > 3
    assert len(list(snippets("yaml"))) > 1


@pytest.mark.parametrize(
    ("place", "words"), [pytest.param(*one, id=f"{one[0]}-{one[1][0]}") for one in commands()]
)
def test_commands_can_be_typed(place: str, words: list[str]) -> None:
    parse(typer.main.get_command(app), words)


@pytest.mark.parametrize(("place", "text"), [pytest.param(*one, id=one[0]) for one in snippets("yaml")])
def test_files_of_jobs_and_suites_are_valid(place: str, text: str) -> None:
    told = yaml.safe_load(text)
    if "datasets" in told:
        Suite.model_validate(told)
    else:
        ScreenConfig.model_validate({"source": "in", "output": "out"} | told)


@pytest.mark.parametrize(("place", "text"), [pytest.param(*one, id=one[0]) for one in snippets("python")])
def test_names_of_python_can_be_imported(place: str, text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("s2sw"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
