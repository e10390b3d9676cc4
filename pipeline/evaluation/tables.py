"""Figures as tables: on the terminal, and in Markdown."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from s2sw.pipeline.evaluation.figures import METRICS, Evaluation, Figures

NONE = "-"


def cell(value: float | None) -> str:
    """Return a metric in percent, as published tables have it."""
    return NONE if value is None else f"{100 * value:.1f}"


def columns_with_values(rows: Sequence[Figures]) -> list[str]:
    """Return the metrics that some row has."""
    return [key for key in METRICS if any(row[key] is not None for row in rows)]


def class_rows(evaluation: Evaluation) -> list[tuple[str, Figures]]:
    """Return a row a class, and their mean where there are several."""
    rows = [(name, result.figures()) for name, result in evaluation.classes.items()]
    return [*rows, ("mean", evaluation.mean())] if len(rows) > 1 else rows


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print the figures of one judge on one data set, class by class, in percent."""
    judge = evaluation.judge
    rows = class_rows(evaluation)
    keys = columns_with_values([figures for _, figures in rows])
    untrained = "" if judge.trained else " (untrained: the figures mean nothing)"
    table = Table(title=f"{judge.label}{untrained} on {evaluation.dataset}, %", title_justify="left")
    table.add_column("class")
    for name in ("images", "anomalous", *(METRICS[key] for key in keys)):
        table.add_column(name, justify="right")
    for name, figures in rows:
        normal, anomalous = counts(evaluation, name)
        total = [f"{normal + anomalous:,}", f"{anomalous:,}"]
        table.add_row(name, *total, *(cell(figures[key]) for key in keys))
    console.print(table)


def counts(evaluation: Evaluation, name: str) -> tuple[int, int]:
    """Return how many normal and anomalous pictures a class has, or all classes under ``mean``."""
    chosen = [evaluation.classes[name]] if name in evaluation.classes else evaluation.classes.values()
    return sum(c.image.normal for c in chosen), sum(c.image.anomalous for c in chosen)


def print_comparison(evaluations: list[Evaluation], console: Console, *, times: bool = False) -> None:
    """Print the means of several judges on one data set, in percent; times: and milliseconds a picture."""
    means = [evaluation.mean() for evaluation in evaluations]
    keys = columns_with_values(means)
    table = Table(title=f"Means on {evaluations[0].dataset}, %", title_justify="left")
    table.add_column("detector")
    for key in keys:
        table.add_column(METRICS[key], justify="right")
    if times:
        table.add_column("ms a picture", justify="right")
    for evaluation, figures in zip(evaluations, means, strict=True):
        seconds = (
            [] if not times else [NONE if evaluation.seconds is None else f"{1e3 * evaluation.seconds:.0f}"]
        )
        table.add_row(evaluation.judge.label, *(cell(figures[key]) for key in keys), *seconds)
    console.print(table)


def markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    escaped = [[text.replace("|", "\\|") for text in row] for row in (heads, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in escaped]
    rule = f"|---|{'---:|' * (len(heads) - 1)}"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"
