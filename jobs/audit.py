"""``s2sw audit``: check the log of who ran what."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from s2sw.jobs.errors import EXIT_FAILED, EXIT_USAGE, fail

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Check the log of who ran what into an output.\n\n"
    "Every run adds two entries to `audit/`: when it starts, and with which counts it ended. Each holds the "
    "hash of the one before, and in private mode a seal that only the id key can make.",
)


@app.command(no_args_is_help=True)
def verify(
    output: Annotated[
        str, typer.Argument(help="Folder or s3://bucket/prefix with results.", show_default=False)
    ],
    head: Annotated[
        str | None, typer.Option(help="Head that an earlier check printed: it must still be part of the log.")
    ] = None,
    private_dir: Annotated[
        Path | None, typer.Option(help="Folder of the id key, which checks the seals.  [default: ~/.s2sw]")
    ] = None,
    endpoint_url: Annotated[
        str | None, typer.Option(help="S3 endpoint.  [default: AWS_ENDPOINT_URL or AWS]")
    ] = None,
) -> None:
    """Look for entries that were changed, removed, exchanged or cut off.

    Note the head that is printed where others cannot write: with `--head` a later check finds out whether
    the log was cut off or written anew since. Without it a cut-off end is found only if results remain.

    Exit codes: 0 nothing was found, 1 something was, 2 there is no log or it cannot be read.
    """
    from s2sw.pipeline.ledger.audit import entry_names
    from s2sw.pipeline.ledger.audit import verify as check
    from s2sw.pipeline.ledger.run_records import ReportError
    from s2sw.pipeline.privacy.ids import KeyFileError, existing_key
    from s2sw.pipeline.results.opening import open_existing, readable
    from s2sw.schemas.storage import StorageSettings

    try:
        key = existing_key((private_dir or Path("~/.s2sw")).expanduser())
        folder = open_existing(output, StorageSettings(endpoint_url=endpoint_url))
        with readable(folder):
            if not entry_names(folder) and not folder.names("runs"):
                fail(
                    f"{output} holds no audit log (audit/*.jsonl); name the --output of a screening",
                    EXIT_USAGE,
                )
            verdict = check(folder, key, head)
    except (ReportError, KeyFileError) as error:
        fail(str(error), EXIT_USAGE)
    for problem in verdict.problems:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"s2sw: {problem}", markup=False)
    seals = f"{verdict.sealed} seals fit" if not verdict.problems else f"{verdict.sealed} seals checked"
    if verdict.unsealed:
        seals += f", {verdict.unsealed} without a seal"
    if verdict.unchecked_seals:
        seals += f", {verdict.unchecked_seals} not checked: their key is not in the private folder"
    Console(soft_wrap=True, highlight=False).print(f"{verdict.entries} entries, {seals}, head {verdict.head}")
    if verdict.problems:
        raise typer.Exit(EXIT_FAILED)
