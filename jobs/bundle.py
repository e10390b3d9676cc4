"""``s2sw bundle``: build, show and verify detector bundles."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from s2sw.jobs.build_systems import HELP, Systems
from s2sw.jobs.bundle_text import print_bundle
from s2sw.jobs.errors import EXIT_USAGE, fail, one_line_errors
from s2sw.jobs.evaluate import (
    Device,
    InPrecision,
    Json,
    Quiet,
    Resolution,
    Split,
    console_of,
    data_errors,
    way_of,
    write_json,
)

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Build, show and verify detector bundles.\n\n"
    "A bundle is a folder with everything that the detector needs: CLIP's visual weights, the class "
    "vectors that were computed once from the prompts, and `bundle.json`. It is sealed by SHA-256: it does "
    "not load if a byte changed. Every result names the fingerprint that it depends on.",
)

Bundle = Annotated[
    str,
    typer.Argument(help="folder, s3://bucket/prefix, or: embedded", metavar="BUNDLE", show_default=False),
]

app.add_typer(typer.Typer(cls=Systems, no_args_is_help=True, help=HELP), name="build")


@app.command(no_args_is_help=True)
def ensemble(
    out: Annotated[Path, typer.Argument(help="new folder for the bundle", show_default=False)],
    members: Annotated[
        list[str],
        typer.Argument(help="bundle folders, each with an optional weight", metavar="FOLDER[=WEIGHT]..."),
    ],
) -> None:
    """Build one bundle of several: its scores and maps are their weighted means.

    Detectors on the same tower, such as s2swclip and anomalyclip, share one forward pass.

    `s2sw bundle ensemble both my-s2swclip=2 my-anomalyclip=1`
    """
    from s2sw.jobs.references import weighted_members
    from s2sw.model.detectors.ensemble import build_ensemble

    with one_line_errors():
        build_ensemble(out, weighted_members(members))
        print_bundle(out)


@app.command(no_args_is_help=True)
def compare(
    bundles: Annotated[
        list[str], typer.Argument(help="two bundles or more, or: embedded", metavar="BUNDLE...")
    ],
    data: Annotated[str, typer.Option(help="labelled data set, as for `s2sw evaluate`")],
    split: Split = "test",
    resolution: Resolution = "model",
    device: Device = "auto",
    precision: InPrecision = "fp32",
    json_file: Json = None,
    quiet: Quiet = False,
) -> None:
    """Evaluate several bundles in the same way: one table of mean metrics, with the time per picture.

    `s2sw bundle compare my-winclip my-adaptclip --data /data/parts`
    """
    from s2sw.pipeline.evaluation.evaluating import evaluate_bundles
    from s2sw.pipeline.evaluation.tables import print_comparison

    if len(bundles) < 2:
        fail("compare needs two bundles or more; `s2sw evaluate` measures one", EXIT_USAGE)
    with one_line_errors(), data_errors():
        found = evaluate_bundles(way_of(resolution, device, precision, quiet), bundles, data, split=split)
        print_comparison(found.evaluations, console_of(quiet), times=True)
        write_json(json_file, found)


@app.command(no_args_is_help=True)
def show(bundle: Bundle) -> None:
    """Show the record of a bundle: detector, tower, prompts, settings, fingerprint."""
    with one_line_errors():
        print_bundle(_folder(bundle))


@app.command(no_args_is_help=True)
def verify(bundle: Bundle) -> None:
    """Check every byte of a bundle against its seal, and that the detector loads. Exit code 2 if not."""
    from s2sw.model.detectors.bundling import load_detector

    with one_line_errors():
        detector = load_detector(_folder(bundle))
    Console().print(
        f"{bundle}: whole, fingerprint {detector.fingerprint}", highlight=False, soft_wrap=True, markup=False
    )


def _folder(bundle: str) -> Path:
    """Return the folder of a bundle, fetched if it lies on S3."""
    from s2sw.pipeline.stages.bundles import bundle_folder
    from s2sw.schemas.storage import StorageSettings

    return bundle_folder(bundle, StorageSettings())
