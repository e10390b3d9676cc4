"""``s2sw verify``: look at every file of an output, and set aside what is broken."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from s2sw.jobs.errors import EXIT_FAILED
from s2sw.jobs.options import EndpointOption, ResultsArgument
from s2sw.jobs.reading import results_config

if TYPE_CHECKING:
    from s2sw.connectors.outputs.folder import OutputFolder

RepairOption = Annotated[
    bool,
    typer.Option(
        "--repair", help="Set damaged files aside, so that the next run screens their objects again."
    ),
]
MasksOption = Annotated[
    bool, typer.Option("--masks/--no-masks", help="Also decode every mask, which takes longest.")
]


def command(
    results: ResultsArgument,
    repair: RepairOption = False,
    masks: MasksOption = True,
    endpoint_url: EndpointOption = None,
) -> None:
    """Check that every file of an output can be read and that the tables agree.

    Nothing is changed without `--repair`. With it, files that cannot be read, or that disagree with
    their partners, are moved to `set-aside/` in the output; the next `s2sw screen` screens their objects
    again. `s2sw audit verify` checks the log of runs.

    Exit codes: 0 no damage, or all of it was set aside, 1 damage, 2 there is no output.

    Examples:

    `s2sw verify /results`

    `s2sw verify s3://lake-results --repair`
    """
    from s2sw.pipeline.results.opening import open_existing, readable

    config = results_config(results, endpoint_url)
    folder = open_existing(config.output, config.storage)
    with readable(folder):
        left = _look(folder, repair, masks)
    if left:
        say("`s2sw verify --repair` sets aside what is broken; the next run fills the gap.")
        raise typer.Exit(EXIT_FAILED)


def _look(folder: "OutputFolder", repair: bool, masks: bool) -> int:
    """Print what is wrong, and mend it if asked to; return how much of it is left."""
    from s2sw.pipeline.ledger.merging import old_parts
    from s2sw.pipeline.ledger.verification import set_aside, verify

    files: list[str] = []
    found = list(verify(folder, masks, files.append))
    left = 0
    for damage in found:
        moved = set_aside(folder, damage) if repair else []
        left += not (repair and (moved or not damage.set_aside))
        done = f"; set aside: {', '.join(moved)}" if moved else ""
        say(f"{damage.name}: {damage.problem}; lost: {damage.lost}{done}")
    if old := old_parts(folder):
        say(f"{old} parts lie in folders of an earlier version: `s2sw compact` puts all into one layout")
    say(f"{len(files)} files looked at, {len(found)} things wrong" + ("" if found else ": all is whole"))
    return left


def say(line: str) -> None:
    """Print a line as it is."""
    Console(highlight=False, soft_wrap=True).print(line, markup=False)
