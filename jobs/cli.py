"""The ``s2sw`` command line. Heavy libraries are imported by the command that needs them."""

import typer

from s2sw.jobs import (
    audit,
    boundary,
    bundle,
    convert_stem,
    demo,
    evaluate,
    export,
    report,
    review,
    screen,
    threshold,
    train,
    train_embedded,
)

app = typer.Typer(
    name="s2sw",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Screen whole archives of images for anomalies with the zero-shot detector S2SWCLIP.\n\n"
    "Start with `s2sw demo`, then `s2sw screen FOLDER --output RESULTS`.",
)
app.command("screen")(screen.command)
app.command("demo")(demo.command)
app.command("report")(report.command)
app.command("review")(review.command)
app.command("export")(export.command)
app.command("threshold")(threshold.command)
app.command("evaluate")(evaluate.command)
app.command("train")(train.command)
app.command("train-embedded")(train_embedded.command)
app.command("convert-stem")(convert_stem.command)
app.add_typer(bundle.app, name="bundle")
app.add_typer(audit.app, name="audit")
app.add_typer(boundary.app, name="boundary")


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
