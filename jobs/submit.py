"""``s2sw submit``: screen on a Ray cluster, from a machine that is none of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from s2sw.jobs.configuration import portable_config
from s2sw.jobs.errors import EXIT_DEFERRED
from s2sw.schemas.shown import printable

if TYPE_CHECKING:
    from s2sw.pipeline.run.job_server import JobServer

JobFile = Annotated[Path, typer.Argument(help="Job file (job.yaml), with whole paths.", show_default=False)]
HeadOption = Annotated[
    str,
    typer.Option(
        help="The head's dashboard: http://HEAD:8265.", envvar="RAY_API_SERVER_ADDRESS", show_default=False
    ),
]
NightOption = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"], help="Day that the job is for; it runs once a day.  [default: today, UTC]"
    ),
]
DetachOption = Annotated[bool, typer.Option("--detach", help="Do not wait for the job's end.")]
AgainOption = Annotated[bool, typer.Option("--again", help="Run it again if it has ended.")]


def command(
    file: JobFile,
    address: HeadOption,
    night: NightOption = None,
    detach: DetachOption = False,
    again: AgainOption = False,
) -> None:
    """Screen by FILE on a running Ray cluster: send the job file, follow the log, end as the job ends.

    Nothing but the job file is sent. The same file runs once a day: a second `s2sw submit` follows the
    first. A job that failed is started again. Exit codes: those of `s2sw screen`; 3 if it was stopped.

    Examples:

    `s2sw submit nightly.yaml --address http://head:8265`

    `s2sw submit nightly.yaml --address http://head:8265 --night 2026-11-28 --detach`
    """
    configuration = portable_config(file)
    from s2sw.pipeline.run.job_server import JobServer

    server = JobServer(address)
    submitted = server.submit(configuration, (night or datetime.now(UTC)).date(), again)
    state = "submitted" if submitted.new else "is there already, not started again"
    typer.echo(f"{submitted.job}: {state}", err=True)
    if not detach:
        raise typer.Exit(follow(server, submitted.job))


def follow(server: "JobServer", job: str) -> int:
    """Show a job's log until it ends; return its exit code."""
    try:
        ended = server.follow(job, _show)
    except KeyboardInterrupt:
        typer.echo(f"{job}: goes on; `s2sw jobs stop {job}` stops it", err=True)
        return EXIT_DEFERRED
    said = f" ({printable(ended.message)})" if ended.exit_code and ended.message else ""
    typer.echo(f"{job}: {ended.status}, exit code {ended.exit_code}{said}", err=True)
    return ended.exit_code or 0


def _show(text: str) -> None:
    """Print a piece of the log: whoever writes there shall not command this terminal."""
    typer.echo("".join(one if one in "\n\t" else printable(one) for one in text), nl=False)
