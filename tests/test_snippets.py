"""What README and docs show can be typed: commands and options, job files, names to import."""

import ast
import importlib

import click
import pytest
import typer
import yaml

from s2sw.jobs.cli import app
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.suite import Suite
from tests.support.snippets import LACKING, LANGUAGES, Snippet, snippets


def of(*languages: str) -> list[object]:
    return [pytest.param(one, id=one.place) for one in snippets(*languages)]


def parse(command: click.Command, words: list[str]) -> None:
    """Take the words as the command line does, without doing anything. Raises click.UsageError."""
    context = command.make_context("s2sw", list(words))
    if isinstance(command, click.Group):
        _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert inner is not None
        parse(inner, rest)


def test_there_are_snippets() -> None:
    counts = {language: len(list(snippets(language))) for language in LANGUAGES}
    assert counts["sh"] > 15
    assert counts["python"] > 3
    assert counts["sql"] > 5
    assert counts["yaml"] > 1


@pytest.mark.parametrize("snippet", of())
def test_a_snippet_says_its_language_and_what_it_needs(snippet: Snippet) -> None:
    assert snippet.language in LANGUAGES, snippet.head
    assert snippet.needs is not None, snippet.head
    assert snippet.needs <= set(LACKING)
    assert snippet.language != "text" or "s2sw " not in snippet.text


@pytest.mark.parametrize("snippet", of("sh"))
def test_commands_can_be_typed(snippet: Snippet) -> None:
    programs = {"make"}.union(*(LACKING[need] for need in snippet.needs or ()))
    for program, *words in snippet.commands:
        if program == "s2sw":
            parse(typer.main.get_command(app), words)
        else:
            assert program in programs


@pytest.mark.parametrize("snippet", of("yaml"))
def test_files_of_jobs_and_suites_are_valid(snippet: Snippet) -> None:
    told = yaml.safe_load(snippet.text)
    if "datasets" in told:
        Suite.model_validate(told)
    else:
        ScreenConfig.model_validate({"source": "in", "output": "out"} | told)


@pytest.mark.parametrize("snippet", of("python"))
def test_names_of_python_can_be_imported(snippet: Snippet) -> None:
    for node in ast.walk(ast.parse(snippet.text)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("s2sw"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names)
