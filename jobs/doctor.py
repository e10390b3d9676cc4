"""``s2sw doctor``: check everything that a run needs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from s2sw.jobs.configuration import build_config
from s2sw.jobs.errors import EXIT_FAILED
from s2sw.schemas.config import ClusterSettings

if TYPE_CHECKING:
    from s2sw.pipeline.doctor.check import Check

STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}


def command(
    config: Annotated[
        Path | None, typer.Argument(help="Job file, as for `s2sw screen`.  [default: this machine alone]")
    ] = None,
    ray: Annotated[bool, typer.Option("--ray/--no-ray", help="Also start Ray, which takes longest.")] = True,
) -> None:
    """Check this machine, Ray and, with a job file, storage, bundle and key; say what to do where one fails.

    With a job file, one small file is written to the output and removed again. `s2sw screen` does the quick
    part of these checks by itself.

    Exit codes: 0 a run can work, 1 a check failed, 2 the job file cannot be read.

    Examples:

    `s2sw doctor`

    `s2sw doctor nightly.yaml`
    """
    from s2sw.pipeline.doctor.check import Verdict
    from s2sw.pipeline.doctor.machine import machine_checks
    from s2sw.pipeline.doctor.places import place_checks
    from s2sw.pipeline.doctor.ray_checks import ray_checks

    job = build_config(config, {}) if config else None
    cluster = job.cluster if job else ClusterSettings()
    checks = list(machine_checks(cluster, job.private_dir if job else None, 0))
    checks += place_checks(job) if job else []
    checks += ray_checks(cluster, ray)
    _print(checks)
    if any(check.verdict is Verdict.FAILED for check in checks):
        raise typer.Exit(EXIT_FAILED)


def _print(checks: "list[Check]") -> None:
    table = Table()
    for title in ("", "found", "what to do"):
        table.add_column(title, overflow="fold")
    for check in checks:
        style = STYLES[check.verdict]
        table.add_row(f"[{style}]{check.verdict}[/] {check.name}", check.found, check.remedy)
    Console(highlight=False).print(table)
