"""``s2sw evaluate``: how good detectors are on labelled data."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from s2sw.jobs.devices import device_of, precision_of
from s2sw.jobs.errors import EXIT_USAGE, fail, one_line_errors

if TYPE_CHECKING:
    from s2sw.connectors.datasets import DataSet
    from s2sw.model.precision import Precision
    from s2sw.pipeline.evaluation.comparing import Comparison, Contender
    from s2sw.pipeline.evaluation.figures import Evaluation
    from s2sw.pipeline.evaluation.measuring import Measuring

GPU_BATCH = 16
TABLE_WIDTH = 140


def command(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[BUNDLE]... [DATA]",
            help="Bundle folders, or: embedded; then the data set. With --suite bundles alone, with "
            "--decisions nothing.",
            show_default=False,
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures as JSON.", show_default=False)
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Write a page with curves, histograms and the worst pictures, which are the data's own.",
            show_default=False,
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a suite's tables as Markdown.", show_default=False)
    ] = None,
    suite: Annotated[
        Path | None, typer.Option(help="YAML file that names many data sets.", show_default=False)
    ] = None,
    decisions: Annotated[
        str | None,
        typer.Option(help="Output of a screening: judge its stored scores by reviewers' decisions."),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of data sets that name splits.")] = "test",
    resolution: Annotated[
        str,
        typer.Option(
            help="Compare pixels at the size of the detector's input, as published: model; or of each "
            "picture: picture."
        ),
    ] = "model",
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto: cuda where there is one.")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, or bf16.")] = "fp32",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")] = False,
) -> None:
    """Measure image AUROC, AP and F1-max, and pixel AUROC, AP, F1-max and AUPRO, class by class.

    DATA is a folder in MVTec AD's layout, a folder with VisA's split_csv or a meta.json, or a CSV or Parquet
    file with the columns image, mask, label. Several bundles give one table, and the page shows where they
    disagree.

    Exit codes: 0 done, 2 the command, a bundle or the data cannot work.

    Examples:

    `s2sw evaluate my-bundle /data/mvtec --json figures.json --html figures.html`

    `s2sw evaluate embedded my-bundle /data/parts.csv`

    `s2sw evaluate my-bundle --suite suite.yaml --markdown table.md`

    `s2sw evaluate --decisions /results --json figures.json`
    """
    given = targets or []
    # a file or pipe has no width of its own, and the tables are wide
    console = Console(highlight=False, quiet=quiet, width=None if sys.stdout.isatty() else TABLE_WIDTH)
    if decisions is not None:
        if given or suite or html:
            fail("--decisions judges stored scores; leave out bundles, data, --suite and --html", EXIT_USAGE)
        with one_line_errors(), _data_errors():
            _by_decisions(decisions, json_file, console)
        return
    with one_line_errors(), _data_errors():
        how = _measuring(resolution, device)
        run = _Run(how, device_of(device), precision_of(precision), console, quiet)
        if suite is not None:
            _suite(run, given, suite, json_file, html, markdown)
        else:
            if markdown is not None:
                fail("--markdown writes the tables of a suite; name one with --suite", EXIT_USAGE)
            _single(run, given, split, json_file, html)


@dataclass(frozen=True)
class _Run:
    """What all evaluations of one command share."""

    how: "Measuring"
    device: str
    precision: "Precision"
    console: Console
    quiet: bool

    def compare(self, contenders: "list[Contender]", data: "DataSet", pictures: bool) -> "Comparison":
        from s2sw.pipeline.evaluation.comparing import compare

        total = len(data.samples) * len(contenders)
        with _progress(data.name, total, self.quiet) as step:
            return compare(
                contenders,
                data,
                replace(self.how, step=step),
                device=self.device,
                precision=self.precision,
                pictures=pictures,
            )


def _single(run: _Run, given: list[str], split: str, json_file: Path | None, html: Path | None) -> None:
    from s2sw.connectors.datasets import open_dataset
    from s2sw.pipeline.evaluation.figures import json_record
    from s2sw.pipeline.evaluation.tables import print_comparison, print_evaluation

    if len(given) < 2:
        fail("a bundle (or: embedded) and a data set are needed, such as `embedded /data/mvtec`", EXIT_USAGE)
    data = open_dataset(given[-1], split=split)
    comparison = run.compare(_contenders(given[:-1]), data, html is not None)
    for evaluation in comparison.evaluations:
        print_evaluation(evaluation, run.console)
    if len(comparison.evaluations) > 1:
        print_comparison(comparison.evaluations, run.console)
    _write(json_file, lambda: _json(json_record(comparison.evaluations)))
    _write(html, lambda: comparison.page(run.how))
    if html is not None:
        run.console.print(f"Page: {html}", soft_wrap=True, markup=False)


def _suite(
    run: _Run,
    given: list[str],
    file: Path,
    json_file: Path | None,
    html: Path | None,
    markdown: Path | None,
) -> None:
    from s2sw.pipeline.evaluation import suites

    suite = suites.read_suite(file)
    opened = suites.open_datasets(suite, file)
    names = [*given, *suites.bundle_names(suite, file)]
    if not names:
        fail(f"no bundle: name one before --suite, or under 'bundles' in {file}", EXIT_USAGE)
    contenders = _contenders(names)
    evaluations: list[list[Evaluation]] = [
        run.compare(contenders, data, pictures=False).evaluations for data in opened
    ]
    result = suites.suite_result(suite, evaluations)
    suites.print_suite(result, run.console)
    _write(json_file, lambda: _json(result.record()))
    _write(html, lambda: suites.suite_page(result))
    _write(markdown, lambda: suites.suite_markdown(result))


def _by_decisions(output: str, json_file: Path | None, console: Console) -> None:
    from s2sw.pipeline.evaluation.figures import json_record
    from s2sw.pipeline.evaluation.reviewed import evaluate_decisions
    from s2sw.pipeline.evaluation.tables import print_evaluation
    from s2sw.pipeline.results.opening import open_existing, readable
    from s2sw.pipeline.results.reading import Results
    from s2sw.pipeline.results.sql_views import EVERY
    from s2sw.schemas.storage import StorageSettings

    folder = open_existing(output, StorageSettings())
    with readable(folder):
        evaluations = evaluate_decisions(Results(folder, EVERY), output)
    for evaluation in evaluations:
        print_evaluation(evaluation, console)
    _write(json_file, lambda: _json(json_record(evaluations)))


def _contenders(names: list[str]) -> "list[Contender]":
    from s2sw.model.bundles.record import read_record
    from s2sw.model.detectors.finding import resolve_bundle
    from s2sw.pipeline.evaluation.comparing import labelled

    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        fail(f"bundle {twice} is named twice; name each one once", EXIT_USAGE)
    folders = [resolve_bundle(name) for name in names]
    for folder in folders:  # before hours of work with the first one
        read_record(folder, check_weights=False)
    return labelled(names, folders)


def _measuring(resolution: str, device: str) -> "Measuring":
    from typing import get_args

    from s2sw.pipeline.evaluation.measuring import Measuring, Resolution

    if resolution not in get_args(Resolution):
        fail(f"--resolution is {resolution!r}; model or picture is needed", EXIT_USAGE)
    batch = 1 if device_of(device) == "cpu" else GPU_BATCH
    return Measuring(batch=batch, resolution=cast(Resolution, resolution))


@contextlib.contextmanager
def _data_errors() -> Iterator[None]:
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


def _json(record: dict[str, Any]) -> str:
    return json.dumps(record, indent=2, allow_nan=False) + "\n"


def _write(path: Path | None, content: Callable[[], str]) -> None:
    """Write a file in one step."""
    from s2sw.connectors.outputs.local import LocalOutput

    if path is None:
        return
    try:
        LocalOutput(path.parent).write(path.name, content().encode())
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}", EXIT_USAGE)
