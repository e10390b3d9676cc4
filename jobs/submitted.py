"""``s2sw jobs``: what ``s2sw submit`` started on a cluster."""

from typing import Annotated

import typer

from s2sw.jobs.errors import one_line_errors
from s2sw.jobs.submit import HeadOption, follow
from s2sw.schemas.shown import printable

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="List, follow and stop what `s2sw submit` started on a cluster.",
)
JobArgument = Annotated[str, typer.Argument(help="Id, as `s2sw jobs list` shows it.", show_default=False)]


@app.command("list")
@one_line_errors()
def list_(address: HeadOption) -> None:
    """List jobs, the latest first: id, status, start (UTC) and exit code.

    Example: `s2sw jobs list --address http://head:8265`
    """
    from s2sw.pipeline.run.job_server import JobServer

    for one in JobServer(address).jobs():
        started = f"{one.started:%Y-%m-%d %H:%M}" if one.started else "-"
        code = "-" if one.exit_code is None else one.exit_code
        typer.echo(f"{printable(one.job)}\t{one.status}\t{started}\t{code}")


@app.command("follow", no_args_is_help=True)
@one_line_errors()
def follow_(job: JobArgument, address: HeadOption) -> None:
    """Show a job's log until it ends; end with its exit code.

    Example: `s2sw jobs follow s2sw-20261128-0123456789abcdef --address http://head:8265`
    """
    from s2sw.pipeline.run.job_server import JobServer

    raise typer.Exit(follow(JobServer(address), job))


@app.command(no_args_is_help=True)
@one_line_errors()
def stop(job: JobArgument, address: HeadOption) -> None:
    """Stop a job. What it has done is committed; the next night, or `s2sw submit --again`, continues.

    Example: `s2sw jobs stop s2sw-20261128-0123456789abcdef --address http://head:8265`
    """
    from s2sw.pipeline.run.job_server import JobServer

    working = JobServer(address).stop(job)
    typer.echo(f"{printable(job)}: {'is being stopped' if working else 'had ended already'}")
