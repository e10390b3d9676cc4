"""``s2sw review``: look at what was flagged, and decide."""

import getpass
import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from s2sw.jobs.errors import EXIT_FAILED, fail
from s2sw.jobs.options import EndpointOption, PrivateOption, ResultsArgument
from s2sw.jobs.reading import open_output, protect, results_config

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from s2sw.connectors.outputs.folder import OutputFolder
    from s2sw.pipeline.review.media import Switches
    from s2sw.schemas.config import ResultsConfig


ReviewerOption = Annotated[
    str | None, typer.Option(help="Name that decisions are stored under.  [default: the account's name]")
]
PortOption = Annotated[
    int, typer.Option(help="Port of this machine.  [default: a free one]", min=0, max=65535)
]
PicturesOption = Annotated[
    bool, typer.Option("--pictures/--no-pictures", help="Read pixels from the source on demand.")
]
ShowNamesOption = Annotated[
    bool, typer.Option("--show-names", help="Show the addresses of private objects as well.")
]


def command(
    results: ResultsArgument,
    reviewer: ReviewerOption = None,
    port: PortOption = 0,
    private_dir: PrivateOption = None,
    pictures: PicturesOption = True,
    show_names: ShowNamesOption = False,
    endpoint_url: EndpointOption = None,
) -> None:
    """Serve a page on which reviewers look at what was flagged and decide: anomaly, false alarm or unsure.

    Open the printed address in a browser on this machine; the token in it gives access. Pictures are read
    from the source on demand and not stored. Decisions are written to `decisions/*.parquet` in the output.
    Ctrl+C ends the server.

    Examples:

    `s2sw review /results`

    `s2sw review s3://lake-results --reviewer ada --port 8800`
    """
    from s2sw.pipeline.results.opening import readable
    from s2sw.pipeline.review.media import Switches
    from s2sw.pipeline.review.serving import Server

    config = results_config(results, endpoint_url, private_dir)
    folder = open_output(config)
    with readable(folder):
        app = _app(folder, config, reviewer or _account(), Switches(pictures, show_names))
    try:
        server = Server.open(app, port)
    except OSError as error:
        fail(f"port {port}: {os.strerror(error.errno or 0)}; name another with --port", EXIT_FAILED)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Review page: {server.gate.address}", markup=False)
    console.print("It is for this machine alone. Ctrl+C ends it.")
    server.serve()


def _app(folder: "OutputFolder", config: "ResultsConfig", reviewer: str, switches: "Switches") -> "Starlette":
    from s2sw.pipeline.flagging.decisions import check_reviewer
    from s2sw.pipeline.ledger.run_records import known_runs
    from s2sw.pipeline.privacy.private_bucket import open_inside
    from s2sw.pipeline.results.sources import Sources
    from s2sw.pipeline.review.app import build_app

    if not folder.names("objects"):
        known_runs(folder)  # says what an output is
    protect(folder)
    check_reviewer(reviewer)
    sources = Sources(folder, open_inside(config.private_dir, config.storage), config.storage, config.source)
    return build_app(folder, sources, reviewer, switches)


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return f"uid-{os.getuid()}"
