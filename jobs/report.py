"""``s2sw report``: what a run did, on the terminal and as a page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from s2sw.jobs.errors import EXIT_USAGE, fail
from s2sw.jobs.options import EndpointOption, ResultsArgument
from s2sw.jobs.reading import open_output, protect, results_config

if TYPE_CHECKING:
    from s2sw.connectors.outputs.folder import OutputFolder
    from s2sw.schemas.run_record import RunRecord


def command(
    results: ResultsArgument,
    run: Annotated[str | None, typer.Option(help="Id of the run.  [default: the latest]")] = None,
    html: Annotated[Path | None, typer.Option(help="Also write the report as one HTML page.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show one line per run instead.")] = False,
    endpoint_url: EndpointOption = None,
) -> None:
    """Show what a run did: objects by status, scores, quarantine, speed.

    The page adds charts, versions and configuration. It needs no network and no script, and names no object.
    Scores are shown for this run, and for all runs under the same settings.

    Examples:

    `s2sw report /results`

    `s2sw report s3://lake-results --html report.html`

    `s2sw report /results --all`
    """
    if every and (run or html):
        fail("--all shows every run on the terminal; leave out --run and --html", EXIT_USAGE)
    from s2sw.pipeline.ledger.run_records import all_runs, choose_run
    from s2sw.pipeline.reports.text import print_runs
    from s2sw.pipeline.results.opening import readable

    console = Console(highlight=False)
    folder = open_output(results_config(results, endpoint_url))
    with readable(folder):
        if every:
            print_runs(all_runs(folder), console)
        else:
            _report(folder, choose_run(folder, run), html, console)


def _report(folder: "OutputFolder", run: "RunRecord", html: Path | None, console: Console) -> None:
    from s2sw.pipeline.reports.figures import gather
    from s2sw.pipeline.reports.html import report_page
    from s2sw.pipeline.reports.text import print_report

    report = gather(folder, run)
    print_report(report, console)
    if html is not None:
        protect(folder)
        _write(html, report_page(report))
        console.print(f"Page: {html}", soft_wrap=True, markup=False)


def _write(path: Path, page: str) -> None:
    """Write the page in one step."""
    from s2sw.connectors.outputs.local import LocalOutput

    try:
        LocalOutput(path.parent).write(path.name, page.encode())
    except OSError as error:
        fail(f"cannot write {path}: {error.strerror}", EXIT_USAGE)
