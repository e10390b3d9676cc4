"""``s2sw verify``: look at every file of an output, and set aside what is broken."""

from typing import Annotated

import typer
from rich.console import Console

from s2sw.jobs.errors import EXIT_FAILED
from s2sw.jobs.options import EndpointOption, ResultsArgument
from s2sw.jobs.reading import results_config


def command(
    results: ResultsArgument,
    repair: Annotated[
        bool, typer.Option("--repair", help="Set aside what is broken, so that the next run fills the gap.")
    ] = False,
    masks: Annotated[
        bool, typer.Option("--masks/--no-masks", help="Decode every mask, which takes longest.")
    ] = True,
    endpoint_url: EndpointOption = None,
) -> None:
    """Check that every file of an output can be read and that the tables agree.

    Nothing is changed without `--repair`. With it, files that cannot be read, or that disagree with
    their partners, move to `set-aside/` in the output; the next `s2sw screen` screens their objects again.
    `s2sw audit verify` checks the log of runs.

    Exit codes: 0 nothing is wrong or all was set aside, 1 something is wrong, 2 there is no output.

    Examples:

    `s2sw verify /results`

    `s2sw verify s3://lake-results --repair`
    """
    from s2sw.pipeline.ledger.verification import set_aside, verify
    from s2sw.pipeline.results.opening import open_existing, readable

    config = results_config(results, endpoint_url)
    folder = open_existing(config.output, config.storage)
    console = Console(highlight=False, soft_wrap=True)
    files = wrong = left = 0

    def count(_: str) -> None:
        nonlocal files
        files += 1

    with readable(folder):
        for damage in list(verify(folder, masks, count)):
            wrong += 1
            moved = set_aside(folder, damage) if repair else []
            left += not (repair and (moved or not damage.set_aside))
            done = f"; set aside: {', '.join(moved)}" if moved else ""
            console.print(f"{damage.name}: {damage.problem}; lost: {damage.lost}{done}", markup=False)
    console.print(f"{files} parts looked at, {wrong} things wrong" + ("" if wrong else ": all is whole"))
    if left:
        console.print(
            "`s2sw verify --repair` sets aside what is broken; the next run fills the gap.", markup=False
        )
        raise typer.Exit(EXIT_FAILED)
