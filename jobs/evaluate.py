"""``s2sw evaluate``: how good detectors are on labelled data."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from s2sw.jobs.devices import device_of, precision_of
from s2sw.jobs.errors import EXIT_USAGE, fail, one_line_errors

if TYPE_CHECKING:
    from s2sw.pipeline.evaluation.evaluating import Findings, Way

GPU_BATCH = 16
TABLE_WIDTH = 140

Targets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[BUNDLE]... [DATA]",
        help="Bundle folders, s3:// prefixes, or: embedded; then the data set. With --suite bundles alone, "
        "with --decisions nothing.",
        show_default=False,
    ),
]
Json = Annotated[Path | None, typer.Option("--json", help="Write the metrics as JSON.", show_default=False)]
Html = Annotated[
    Path | None,
    typer.Option(
        help="Write a page with curves, histograms and the worst pictures. It holds pictures of the data.",
        show_default=False,
    ),
]
Markdown = Annotated[
    Path | None, typer.Option(help="Write a suite's tables as Markdown.", show_default=False)
]
Suite = Annotated[Path | None, typer.Option(help="YAML file that names many data sets.", show_default=False)]
Decisions = Annotated[
    str | None, typer.Option(help="Output of a run: measure its stored scores by reviewers' decisions.")
]
Split = Annotated[str, typer.Option(help="Split to use, of data sets that have splits.")]
Resolution = Annotated[
    str,
    typer.Option(
        help="Compare pixels at the size of the detector's input, as published: model; or of each picture: "
        "picture."
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")]
InPrecision = Annotated[str, typer.Option("--precision", help="fp32, bf16, or int8.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")]


def command(
    targets: Targets = None,
    json_file: Json = None,
    html: Html = None,
    markdown: Markdown = None,
    suite: Suite = None,
    decisions: Decisions = None,
    split: Split = "test",
    resolution: Resolution = "model",
    device: Device = "auto",
    precision: InPrecision = "fp32",
    quiet: Quiet = False,
) -> None:
    """Measure image AUROC, AP and F1-max, and pixel AUROC, AP, F1-max and AUPRO, class by class.

    DATA is a folder in MVTec AD's layout, a folder with VisA's split_csv or a meta.json, or a CSV or Parquet
    file with the columns image, mask, label. Several bundles give one table, and the page shows where they
    disagree. Exit codes: 0 done, 2 the command, a bundle or the data is wrong. Examples:

    `s2sw evaluate my-bundle /data/mvtec --json figures.json --html figures.html`

    `s2sw evaluate embedded my-bundle /data/parts.csv`

    `s2sw evaluate my-bundle --suite suite.yaml --markdown table.md`

    `s2sw evaluate --decisions /results --json figures.json`
    """
    with one_line_errors(), data_errors():
        given = _checked(targets or [], suite, decisions, html, markdown)
        found = _found(given, suite, decisions, split, html, way_of(resolution, device, precision, quiet))
        found.show(console_of(quiet))
        write_json(json_file, found)
        write(html, found.html)
        write(markdown, found.markdown)
    if html is not None and suite is None:
        console_of(quiet).print(f"Page: {html}", soft_wrap=True, markup=False)


def _checked(
    given: list[str], suite: Path | None, decisions: str | None, html: Path | None, markdown: Path | None
) -> list[str]:
    """Return what the command names, if its options fit together; ends the command otherwise."""
    if decisions is not None and (given or suite or html):
        fail("--decisions judges stored scores; leave out bundles, data, --suite and --html", EXIT_USAGE)
    if decisions is None and suite is None and markdown is not None:
        fail("--markdown writes the tables of a suite; name one with --suite", EXIT_USAGE)
    if decisions is None and suite is None and len(given) < 2:
        fail("a bundle (or: embedded) and a data set are needed, such as `embedded /data/mvtec`", EXIT_USAGE)
    return given


def _found(
    given: Sequence[str], suite: Path | None, decisions: str | None, split: str, html: Path | None, way: "Way"
) -> "Findings":
    from s2sw.pipeline.evaluation.evaluating import evaluate_bundles, evaluate_output, evaluate_suite

    if decisions is not None:
        return evaluate_output(decisions)
    if suite is not None:
        return evaluate_suite(way, given, suite)
    return evaluate_bundles(way, given[:-1], given[-1], split=split, pictures=html is not None)


def way_of(resolution: str, device: str, precision: str, quiet: bool) -> "Way":
    """Return how to evaluate, from options. Ends the command for an unknown value."""
    from typing import get_args

    from s2sw.pipeline.evaluation.evaluating import Way
    from s2sw.pipeline.evaluation.measuring import Measuring, Resolution

    if resolution not in get_args(Resolution):
        fail(f"--resolution is {resolution!r}; model or picture is needed", EXIT_USAGE)
    chosen = device_of(device)
    how = Measuring(batch=1 if chosen == "cpu" else GPU_BATCH, resolution=cast(Resolution, resolution))
    return Way(lambda name, total: _progress(name, total, quiet), how, chosen, precision_of(precision))


def console_of(quiet: bool) -> Console:
    """Return where tables go; a file or pipe has no width of its own, and the tables are wide."""
    return Console(highlight=False, quiet=quiet, width=None if sys.stdout.isatty() else TABLE_WIDTH)


@contextlib.contextmanager
def data_errors() -> Iterator[None]:
    """Turn what is wrong with data, a suite or an output into one line and exit code 2."""
    from s2sw.connectors.datasets import DataSetError
    from s2sw.pipeline.evaluation.reviewed import NoDecisionsError
    from s2sw.pipeline.evaluation.suites import SuiteError
    from s2sw.pipeline.flagging.decisions import DecisionError
    from s2sw.pipeline.ledger.run_records import ReportError

    try:
        yield
    except (DataSetError, DecisionError, NoDecisionsError, SuiteError, ReportError) as error:
        fail(str(error), EXIT_USAGE)


@contextlib.contextmanager
def _progress(name: str, total: int, quiet: bool) -> Iterator[Callable[[], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet, transient=True) as progress:
        task = progress.add_task(name, total=total)
        yield lambda: progress.advance(task)


def write_json(path: Path | None, found: "Findings") -> None:
    """Write the figures, where a file was asked for."""
    write(path, lambda: json.dumps(found.record, indent=2, allow_nan=False) + "\n")


def write(path: Path | None, content: Callable[[], str] | None) -> None:
    """Write a file in one step, where one was asked for and there is something to write."""
    from s2sw.connectors.outputs.local import LocalOutput

    if path is None or content is None:
        return
    try:
        LocalOutput(path.parent).write(path.name, content().encode())
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}", EXIT_USAGE)
