"""The ``s2sw`` command line. Heavy libraries are imported by the command that needs them."""

import signal
from collections.abc import Callable
from typing import Any

import typer

from s2sw.jobs import (
    audit,
    boundary,
    bundle,
    compact,
    convert_stem,
    demo,
    doctor,
    drift,
    evaluate,
    export,
    profile,
    report,
    review,
    screen,
    submit,
    submitted,
    threshold,
    train,
    train_embedded,
    verify,
    worklist,
)
from s2sw.jobs.errors import one_line_errors
from s2sw.jobs.logs import configure_logs
from s2sw.jobs.streams import shield_streams

app = typer.Typer(
    name="s2sw",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Screen whole archives of images for anomalies with the zero-shot detector S2SWCLIP.\n\n"
    "Start with `s2sw demo`, then `s2sw screen FOLDER --output RESULTS`.",
)
COMMANDS: dict[str, Callable[..., Any]] = {
    "screen": screen.command,
    "submit": submit.command,
    "demo": demo.command,
    "report": report.command,
    "review": review.command,
    "export": export.command,
    "threshold": threshold.command,
    "worklist": worklist.command,
    "drift": drift.command,
    "verify": verify.command,
    "compact": compact.command,
    "doctor": doctor.command,
    "evaluate": evaluate.command,
    "train": train.command,
    "train-embedded": train_embedded.command,
    "convert-stem": convert_stem.command,
}
HELP = {"train": train.HELP}
for name, command in COMMANDS.items():
    app.command(name, help=HELP.get(name))(one_line_errors()(command))
app.add_typer(submitted.app, name="jobs")
app.add_typer(bundle.app, name="bundle")
app.add_typer(profile.app, name="profile")
app.add_typer(audit.app, name="audit")
app.add_typer(boundary.app, name="boundary")


@app.callback()
def _ready() -> None:
    """Give every command its log."""
    configure_logs()


def main() -> None:
    """Run the command line."""
    shield_streams()
    try:
        app()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a late Ctrl-C must not change the exit code


if __name__ == "__main__":
    main()
