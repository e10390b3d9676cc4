"""``s2sw audit``: check the log of who ran what."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from s2sw.jobs.errors import EXIT_FAILED, EXIT_USAGE, fail, one_line_errors
from s2sw.jobs.options import EndpointOption, PrivateOption, ResultsArgument
from s2sw.jobs.reading import open_output, results_config
from s2sw.schemas.layout import RUNS_FOLDER

if TYPE_CHECKING:
    from s2sw.pipeline.ledger.audit import Verdict

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Check the log of who ran what into an output.\n\n"
    "Every run adds two entries to `audit/`: one when it starts, and one with its counts when it ends. Each "
    "holds the hash of the previous one and, in private mode, a seal that can be made only with the id key.",
)


@app.command(no_args_is_help=True)
@one_line_errors()
def verify(
    results: ResultsArgument,
    head: Annotated[
        str | None, typer.Option(help="Head that an earlier check printed: it must still be part of the log.")
    ] = None,
    private_dir: PrivateOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Look for entries that were changed, removed, exchanged or cut off.

    Note the printed head in a place that others cannot write to. With `--head` a later check finds out
    whether the log was cut off or rewritten since then. Without it, a cut-off end is found only if results of
    its runs remain.

    Exit codes: 0 nothing was found, 1 something was found, 2 there is no log or it cannot be read.
    """
    from s2sw.pipeline.ledger.audit import entry_names
    from s2sw.pipeline.ledger.audit import verify as check
    from s2sw.pipeline.ledger.output_key import output_key
    from s2sw.pipeline.privacy.private_bucket import open_inside
    from s2sw.pipeline.results.opening import readable

    config = results_config(results, endpoint_url, private_dir)
    inside, folder = open_inside(config.private_dir, config.storage), open_output(config)
    with readable(folder):
        if not entry_names(folder) and not folder.names(RUNS_FOLDER):
            fail(
                f"{folder.root} holds no audit log (audit/*.jsonl); name the --output of a screening",
                EXIT_USAGE,
            )
        verdict = check(folder, output_key(inside, folder).key, head)
    for problem in verdict.problems:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"s2sw: {problem}", markup=False)
    said = f"{verdict.entries} entries, {_seals(verdict)}, head {verdict.head}"
    Console(soft_wrap=True, highlight=False).print(said)
    if verdict.problems:
        raise typer.Exit(EXIT_FAILED)


def _seals(verdict: "Verdict") -> str:
    said = f"{verdict.sealed} seals {'checked' if verdict.problems else 'fit'}"
    if verdict.unsealed:
        said += f", {verdict.unsealed} without a seal"
    if verdict.unchecked_seals:
        said += f", {verdict.unchecked_seals} not checked: their key is not in the private folder"
    return said
