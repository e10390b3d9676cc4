"""``s2sw screen``: screen an archive into Parquet."""

from pathlib import Path
from typing import Annotated, Any

import typer

from s2sw.jobs.configuration import build_config, is_configuration, read_flags
from s2sw.jobs.errors import EXIT_DEFERRED, EXIT_FAILED, fail, one_line_errors, warn
from s2sw.schemas.outcomes import ScreeningError


def command(
    source: Annotated[
        str, typer.Argument(help="Folder, file, s3://bucket/prefix, or a job file (job.yaml).")
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Folder or s3://bucket/prefix for the results.")
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(help="Detector bundle folder, or: embedded.  [default: embedded]")
    ] = None,
    open_mode: Annotated[
        bool | None,
        typer.Option(
            "--open/--private",
            help="Keep each object's address in the results, or only a keyed id.  [default: private]",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Take only the first N objects of the listing.")] = None,
    until: Annotated[
        str | None,
        typer.Option(
            help="Stop admitting at a time (06:00) or after a duration (90m); the rest is deferred."
        ),
    ] = None,
    force: Annotated[
        bool | None, typer.Option("--force", help="Screen again what is done under the same settings.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="CPU cores to use.  [default: all]")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Map value (0..1) from which a pixel is in the mask.  [default: 0.5]")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="fp32, bf16, or auto: bf16 on a GPU.  [default: auto]")
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option(
            help="What all objects show, for a bundle with several class names (docs/detectors.md)."
        ),
    ] = None,
    tile: Annotated[
        int | None, typer.Option(help="Cut larger images into tiles of this side, in pixels.  [default: off]")
    ] = None,
    endpoint_url: Annotated[
        str | None, typer.Option(help="S3 endpoint.  [default: AWS_ENDPOINT_URL or AWS]")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Address of a running Ray cluster.")] = None,
    private_dir: Annotated[
        str | None,
        typer.Option(help="Folder of the id key and the crosswalk id -> address.  [default: ~/.s2sw]"),
    ] = None,
    metrics_file: Annotated[
        str | None,
        typer.Option(help="Keep figures for Prometheus in this file (docs/report.md).  [default: none]"),
    ] = None,
    flag: Annotated[
        Path | None,
        typer.Option(help="Flagging thresholds that `s2sw threshold` wrote.  [default: none]"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
) -> None:
    """Screen every image under SOURCE and write scores, masks and a full account to OUTPUT.

    The same command again continues where the last one stopped: what is done is skipped.

    Results: `slices/*.parquet` (a row a picture: scores, mask, token map), `objects/*.parquet` (a row a file:
    screened, no_pixels or quarantined with a reason) and `runs/*.json` (one a run, counts that add up).

    Exit codes: 0 all accounted for, 1 failed, 2 bad usage or configuration, 3 deferred work remains,
    4 more quarantined than `max_quarantined` allows.

    Examples:

    `s2sw screen /archive --output /results`

    `s2sw screen s3://lake/2026/ -o s3://lake-results/ --open --until 06:00`

    `s2sw screen nightly.yaml`
    """
    from_file = is_configuration(source)
    options: dict[str, Any] = {
        "source": None if from_file else source,
        "output": output,
        "bundle": bundle,
        "mode": None if open_mode is None else ("open" if open_mode else "private"),
        "limit": limit,
        "until": until,
        "force": force,
        "threshold": threshold,
        "precision": precision,
        "private_dir": private_dir,
        "metrics_file": metrics_file,
        "classes.name": class_name,
        "tiles.size": tile,
        "storage.endpoint_url": endpoint_url,
        "cluster.address": address,
        "cluster.workers": workers,
    }
    options["flag"] = read_flags(flag) if flag else None
    raise typer.Exit(run(build_config(Path(source) if from_file else None, options), quiet))


def run(config: Any, quiet: bool = False) -> int:
    """Screen, print the summary and return the exit code."""
    from s2sw.pipeline.privacy.environment import enter

    enter(config)  # before the imports below, whose libraries read the environment once
    with one_line_errors():
        from s2sw.pipeline.run.job import prepare

        job = prepare(config)
    from s2sw.connectors.dicom.codecs import missing_codecs
    from s2sw.pipeline.reports.summary_text import print_summary
    from s2sw.pipeline.run.executor import RunFailedError
    from s2sw.pipeline.run.run import screen

    for missing in missing_codecs():
        warn(f"not installed, objects that need it will be quarantined: {missing}")
    try:
        with one_line_errors():
            summary = screen(job, quiet)
    except typer.Exit:
        raise
    except Exception as error:
        if not isinstance(error, OSError | RunFailedError | ScreeningError) and not config.private:
            raise
        fail(f"the run failed: {_problem(error, config)}; the same command continues", EXIT_FAILED)
    except KeyboardInterrupt:
        fail("stopped before anything was taken up; the same command continues", EXIT_DEFERRED)
    if not quiet:
        print_summary(summary, config)
    return summary.exit_code


def _problem(error: Exception, config: Any) -> str:
    """Say what went wrong; in private mode nothing that may quote an object or its address."""
    from s2sw.pipeline.privacy.redaction import describe
    from s2sw.pipeline.run.executor import RunFailedError

    if isinstance(error, RunFailedError):
        return str(error)
    if config.private:
        return describe(error)
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
