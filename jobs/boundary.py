"""``s2sw boundary``: what a run would read, write and connect to."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from s2sw.jobs.configuration import build_config, is_configuration
from s2sw.jobs.errors import EXIT_FAILED, one_line_errors
from s2sw.jobs.options import EndpointOption, OpenOption, OutputOption, PrivateOption

if TYPE_CHECKING:
    from s2sw.pipeline.privacy.report import Section

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Show the boundary of a run: what it would read, write and connect to.",
)


@app.callback()
def _group() -> None:
    """Keep `check` a command of its own while it is the only one."""


SourceArgument = Annotated[
    str, typer.Argument(help="Job file (job.yaml), or a source as for `s2sw screen`.", show_default=False)
]


@app.command(no_args_is_help=True)
@one_line_errors()
def check(
    source: SourceArgument,
    output: OutputOption = None,
    open_mode: OpenOption = None,
    private_dir: PrivateOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Say in plain words what a run would read, write and connect to, and what is not protected.

    It starts nothing.

    Exit codes: 0 nothing to object to, 1 warnings, 2 the configuration cannot work.

    Examples:

    `s2sw boundary check nightly.yaml`

    `s2sw boundary check /archive -o /results`
    """
    from_file = is_configuration(source)
    options: dict[str, Any] = {
        "source": None if from_file else source,
        "output": output,
        "mode": None if open_mode is None else ("open" if open_mode else "private"),
        "private_dir": private_dir,
        "storage.endpoint_url": endpoint_url,
    }
    from s2sw.pipeline.listing.source import with_source
    from s2sw.pipeline.privacy.report import describe_boundary, warnings_of

    config = with_source(build_config(Path(source) if from_file else None, options))

    _print(describe_boundary(config))
    warnings = warnings_of(config)
    for warning in warnings:
        Console(highlight=False, soft_wrap=True).print(f"[bold yellow]WARNING[/] {escape(warning)}")
    if warnings:
        raise typer.Exit(EXIT_FAILED)


def _print(sections: "list[Section]") -> None:
    console = Console(highlight=False, soft_wrap=True)
    for section in sections:
        console.print(f"[bold]{escape(section.title)}[/]")
        for line in section.lines:
            console.print(f"  {line}", markup=False)
