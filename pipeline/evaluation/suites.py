"""Suites: several detectors on many data sets, as the tables that papers print."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from s2sw.connectors.datasets import DataSet, DataSetError, open_dataset
from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.evaluation.figures import METRICS, Evaluation, Figures, mean_figures
from s2sw.pipeline.evaluation.tables import cell, columns_with_values, markdown
from s2sw.pipeline.pages.rendering import template
from s2sw.schemas.config import EMBEDDED
from s2sw.schemas.errors import UserError
from s2sw.schemas.shown import printable
from s2sw.schemas.suite import Suite, SuiteDataSet
from s2sw.schemas.yaml_files import YamlError, brief, read_yaml, told

LEVELS = {"image": "Image level", "pixel": "Pixel level"}


class SuiteError(UserError):
    """A suite file cannot be used; the message names the key, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def read_suite(file: Path) -> Suite:
    """Read and check a suite file. Raises SuiteError that names the file and the key."""
    try:
        return Suite.model_validate(read_yaml(file, "datasets: [{path: bottles}]"))
    except YamlError as error:
        raise SuiteError(str(error)) from None
    except ValidationError as error:
        raise SuiteError(f"{file}: {told([_describe(one) for one in error.errors()])}") from None


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        model = SuiteDataSet if problem["loc"][0] == "datasets" else Suite
        return f"unknown key '{key}'; known there: {', '.join(model.model_fields)}"
    if problem["type"] == "missing":
        return f"'{key}' is missing"
    where = f"'{key}'" if key else "the file"
    return f"{where}: {problem['msg']} (got {brief(problem['input'])})"


def open_datasets(suite: Suite, file: Path) -> list[DataSet]:
    """Open every data set of a suite before any work is done. Raises SuiteError that names the key."""
    opened = []
    for number, entry in enumerate(suite.datasets):
        path = entry.path if is_s3(entry.path) else str(file.parent / Path(entry.path).expanduser())
        try:
            data = open_dataset(path, split=entry.split, name=entry.name)
        except DataSetError as error:
            raise SuiteError(f"{file}: 'datasets.{number}.path': {error}") from error
        opened.append(data if "pixel" in entry.metrics else _without_masks(data))
    names = [data.name for data in opened]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SuiteError(f"{file}: 'datasets': {twice[0]!r} is there twice; give each a 'name' of its own")
    return opened


def bundle_names(suite: Suite, file: Path) -> list[str]:
    """Return the suite's bundles; folders are relative to the file."""
    return [
        name if name == EMBEDDED or is_s3(name) else str(file.parent / Path(name).expanduser())
        for name in suite.bundles
    ]


def _without_masks(data: DataSet) -> DataSet:
    return replace(data, samples=[replace(sample, mask=None) for sample in data.samples])


def only_levels(figures: Figures, levels: tuple[str, ...]) -> Figures:
    """Return the figures without those of a level that the suite leaves out."""
    return {key: value if key.startswith(levels) else None for key, value in figures.items()}


@dataclass(frozen=True)
class SuiteResult:
    """The means of each detector on each data set; both in the order that was asked for."""

    figures: dict[str, dict[str, Figures]]
    """Data set to detector to figures."""

    @property
    def detectors(self) -> list[str]:
        """The detectors' labels."""
        return list(next(iter(self.figures.values())))

    def means(self) -> dict[str, Figures]:
        """Return each detector's mean over the data sets that have a figure."""
        return {d: mean_figures(row[d] for row in self.figures.values()) for d in self.detectors}

    def record(self) -> dict[str, Any]:
        """Return what goes into the JSON file."""
        return {"datasets": self.figures, "mean": self.means()}

    def tables(self) -> Iterator[tuple[str, list[str], list[list[str]]]]:
        """Yield a table a level: title, heads and rows. Columns: each metric of each detector, in percent."""
        rows = {**self.figures, "mean": self.means()}
        for level, title in LEVELS.items():
            every = [figures for row in self.figures.values() for figures in row.values()]
            keys = [key for key in columns_with_values(every) if key.startswith(level)]
            if not keys:
                continue
            several = len(self.detectors) > 1
            short = {key: METRICS[key].removeprefix(f"{level} ") for key in keys}
            heads = [f"{d}: {short[k]}" if several else short[k] for k in keys for d in self.detectors]
            places = [(d, k) for k in keys for d in self.detectors]
            cells = [[name, *(cell(row[d][k]) for d, k in places)] for name, row in rows.items()]
            yield title, ["data set", *heads], cells


def suite_result(suite: Suite, evaluations: list[list[Evaluation]]) -> SuiteResult:
    """Gather evaluations, a list of one a detector for each data set of the suite."""
    figures: dict[str, dict[str, Figures]] = {}
    for entry, several in zip(suite.datasets, evaluations, strict=True):
        figures[several[0].dataset] = {
            evaluation.judge.label: only_levels(evaluation.mean(), entry.metrics) for evaluation in several
        }
    return SuiteResult(figures)


def print_suite(result: SuiteResult, console: Console) -> None:
    """Print a table a level, in percent."""
    for title, heads, rows in result.tables():
        table = Table(title=f"{title}, %", title_justify="left")
        for place, head in enumerate(heads):
            table.add_column(head, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def suite_markdown(result: SuiteResult) -> str:
    """Return the tables in Markdown."""
    return "\n".join(f"## {title}, %\n\n{markdown(heads, rows)}" for title, heads, rows in result.tables())


def suite_page(result: SuiteResult) -> str:
    """Return the tables as one self-contained HTML page."""
    return template("suite.html").render(tables=list(result.tables()), detectors=result.detectors)
