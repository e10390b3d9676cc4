"""``s2sw screen``: screen an archive into Parquet."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from s2sw.jobs import options
from s2sw.jobs.configuration import build_config, is_configuration, read_flags
from s2sw.jobs.errors import EXIT_DEFERRED, EXIT_FAILED, fail, need_screening, one_line_errors, warn
from s2sw.jobs.logs import LogFormat, configure_logs
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.errors import UserError
from s2sw.schemas.outcomes import ScreeningError

if TYPE_CHECKING:
    from s2sw.connectors.outputs.folder import OutputFolder
    from s2sw.schemas.run_record import RunSummary

Source = Annotated[
    str | None,
    typer.Argument(help="Folder, file, s3://bucket/prefix, or a job file (job.yaml, or - for stdin)."),
]


def command(
    source: Source = None,
    output: options.OutputOption = None,
    manifest: options.ManifestOption = None,
    bundle: options.BundleOption = None,
    open_mode: options.OpenOption = None,
    limit: options.LimitOption = None,
    until: options.UntilOption = None,
    force: options.ForceOption = None,
    workers: options.WorkersOption = None,
    partitions: options.PartitionsOption = None,
    threshold: options.MapThresholdOption = None,
    precision: options.PrecisionOption = None,
    class_name: options.ClassNameOption = None,
    tile: options.TileOption = None,
    profile: options.ProfileOption = None,
    zero_shot_map: options.ZeroShotMapOption = None,
    endpoint_url: options.EndpointOption = None,
    address: options.AddressOption = None,
    private_dir: options.PrivateOption = None,
    key_per_output: options.KeyPerOutputOption = None,
    metrics_file: options.MetricsOption = None,
    flag: options.FlagOption = None,
    verbose: options.VerboseOption = 0,
    quiet: options.QuietOption = False,
    log_format: options.LogFormatOption = LogFormat.TEXT,
) -> None:
    """Screen every image under SOURCE and write scores, masks and the status of every object to OUTPUT.

    To continue a run that was stopped, give the same command again. Exit codes: 0 all objects accounted for,
    1 failed, 2 bad usage, 3 deferred objects remain, 4 more quarantined than `max_quarantined` allows.

    Examples:

    `s2sw screen /archive --output /results`, or with a job file `s2sw screen nightly.yaml`

    `s2sw screen s3://lake/2026/ -o s3://lake-results/ --open --until 06:00`
    """
    raise typer.Exit(run(_configuration(source, locals(), flag), quiet, verbose, log_format))


KEYS = {
    "output": "output", "manifest": "manifest", "bundle": "bundle",
    "limit": "limit", "until": "until", "force": "force", "partitions": "partitions",
    "threshold": "threshold", "precision": "precision", "profile": "profile", "private_dir": "private_dir",
    "zero_shot_map": "zero_shot_map", "key_per_output": "key_per_output",
    "metrics_file": "metrics_file", "open_mode": "mode", "class_name": "classes.name", "tile": "tiles.size",
    "endpoint_url": "storage.endpoint_url", "address": "cluster.address", "workers": "cluster.workers",
}  # fmt: skip
"""Options of the command to keys of a job file."""


def _configuration(source: str | None, given: dict[str, Any], flag: Path | None) -> ScreenConfig:
    """Return the configuration: the job file, if the source is one, and the options over it."""
    from_file = source is not None and is_configuration(source)
    values = {KEYS[name]: value for name, value in given.items() if name in KEYS}
    if values["mode"] is not None:
        values["mode"] = "open" if values["mode"] else "private"
    values["source"] = None if from_file else source
    values["flag"] = read_flags(flag) if flag else None
    return build_config(Path(source) if source and from_file else None, values)


def run(
    config: ScreenConfig, quiet: bool = False, verbose: int = 0, log_format: LogFormat = LogFormat.TEXT
) -> int:
    """Screen, print the summary and return the exit code."""
    from s2sw.pipeline.privacy.environment import enter

    enter(config)  # before the imports below, whose libraries read the environment once
    live = sys.stderr.isatty() and not quiet and log_format is LogFormat.TEXT
    configure_logs(log_format, verbose, quiet=quiet or live)
    with one_line_errors():
        need_screening()
        from s2sw.pipeline.run.job import prepare

        job = prepare(config)
    from s2sw.connectors.dicom.packages import missing_codecs
    from s2sw.pipeline.reports.summary_text import print_summary
    from s2sw.pipeline.run.executor import RunFailedError
    from s2sw.pipeline.run.run import screen

    for missing in missing_codecs():
        warn(f"not installed, objects that need it will be quarantined: {missing}")
    try:
        with one_line_errors():
            summary = screen(job, live)
    except typer.Exit:
        raise
    except Exception as error:
        if not isinstance(error, OSError | RunFailedError | ScreeningError) and not config.private:
            raise
        problem = _problem(error, config)
        fail(f"the run failed: {problem}; to continue, give the same command again", EXIT_FAILED)
    except KeyboardInterrupt:
        fail("stopped before any object was started; to continue, give the same command again", EXIT_DEFERRED)
    if not quiet:
        print_summary(summary, config)
    if config.metrics_file:
        _export_drift(job.output, config.metrics_file, summary)
    if config.flag.lists:
        _write_worklist(job.output, config, summary, quiet)
    return summary.exit_code


def _export_drift(output: "OutputFolder", path: str, summary: "RunSummary") -> None:
    """Add to the figures for monitoring how many groups differ from their past."""
    from s2sw.pipeline.evidence.drift import MEASURES, QUARANTINED, drift
    from s2sw.pipeline.results.opening import readable
    from s2sw.pipeline.results.reading import Results
    from s2sw.pipeline.run.metrics import write_drift

    try:
        with readable(output):
            changes = drift(Results(output, summary.fingerprint), summary.run_id)
            moved = [change.measure for change in changes if change.moved]
            write_drift(path, summary, {name: moved.count(name) for name in (*MEASURES, QUARANTINED)})
    except UserError as error:
        warn(f"metrics_file: it is written without drift ({error})")


def _write_worklist(output: "OutputFolder", config: ScreenConfig, summary: "RunSummary", quiet: bool) -> None:
    """Write the worklist that the configuration asks for. A run counts without one, too."""
    from s2sw.pipeline.evidence.making import KINDS
    from s2sw.pipeline.evidence.slices import slice_p_values, write_p_values
    from s2sw.pipeline.evidence.worklist import write
    from s2sw.pipeline.results.opening import readable
    from s2sw.pipeline.results.reading import Results

    try:
        with readable(output):
            found = Results(output, summary.fingerprint)
            write_p_values(output, slice_p_values(found, summary.run_id), summary.run_id)
            for noun, (make, folder) in KINDS.items():
                made = make(found, summary.run_id, config.flag)
                name = write(output, made, folder)
                if not quiet:
                    typer.echo(f"{made.value.sentence(f'{noun}s')}: {name}")
    except UserError as error:
        warn(f"no worklist was written ({error}); `s2sw worklist` makes it of the results")


def _problem(error: Exception, config: ScreenConfig) -> str:
    """Say what went wrong; in private mode nothing that may quote an object or its address."""
    from s2sw.pipeline.privacy.redaction import describe
    from s2sw.pipeline.run.executor import RunFailedError

    if isinstance(error, RunFailedError):
        return str(error)
    if config.private:
        return describe(error)
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
