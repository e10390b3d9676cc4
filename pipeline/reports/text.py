"""The report on the terminal: one run in full, or one line a run."""

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from s2sw.pipeline.reports.figures import RunReport
from s2sw.pipeline.reports.histogram import ScoreHistogram
from s2sw.pipeline.reports.speed import stages
from s2sw.pipeline.reports.summary_text import accounting_line, counts_table, detector_line, speed_line
from s2sw.pipeline.reports.terminal import plain
from s2sw.schemas.outcomes import Status
from s2sw.schemas.run_record import RunRecord, RunSummary

BAR_CELLS = 30
RUNS_WIDTH = 140  # a run is one line in a pipe and on a narrow terminal, too


def print_report(report: RunReport, console: Console) -> None:
    """Print one run: the account, the scores, the quarantine, the speed, the detector."""
    summary = report.run.summary
    console.print(f"{summary.started} to {summary.finished or '?'}: {outcome(summary)}")
    console.print(counts_table(summary))
    console.print(accounting_line(summary))
    console.print(_scores(report))
    if report.flagged is not None:
        console.print(flagged_line(report))
    for line in report.worth:
        console.print(line, markup=False, soft_wrap=True)
    if report.drift:
        console.print(report.drift, markup=False, soft_wrap=True)
    if report.same_settings.reasons:
        console.print(_reasons(report))
    console.print(_stages(summary))
    console.print(speed_line(summary))
    console.print(detector_line(summary.bundle))
    if report.unfinished:
        console.print(f"Results without a run file (killed, or at work): {', '.join(report.unfinished)}")


def print_runs(runs: Iterable[RunRecord], console: Console) -> None:
    """Print one line a run, oldest first."""
    console.width = max(console.width, RUNS_WIDTH)
    table = Table(box=None, caption_justify="left", pad_edge=False)
    for name in ("run", "outcome", "detector"):
        table.add_column(name, no_wrap=True)
    for name in ("listed", "screened", "no_pixels", "quarantined", "left", "slices", "seconds", "slices/s"):
        table.add_column(name, justify="right")
    table.caption = "screened, no_pixels, quarantined, slices: by the run itself; left: deferred to the next"
    for run in runs:
        table.add_row(*_line(run.summary))
    console.print(table)


def outcome(summary: RunSummary) -> str:
    """Say how a run ended, with its exit code."""
    return f"{summary.outcome}, exit code {summary.exit_code}"


def flagged_line(report: RunReport) -> str:
    """Say how many slices reach the run's flagging thresholds."""
    total = report.same_settings.scores.total
    return f"Flagged for review: {report.flagged or 0:,} of {total:,} slices, by the thresholds of this run"


def _line(summary: RunSummary) -> list[str]:
    seconds = summary.seconds.get("screen", 0.0)
    detector = f"{summary.bundle.get('detector')}{'' if summary.bundle.get('trained') else ', untrained'}"
    counts = [summary.new.get(s, 0) for s in (Status.SCREENED, Status.NO_PIXELS, Status.QUARANTINED)]
    numbers = [summary.listed, *counts, summary.by_status.get(Status.DEFERRED, 0), summary.slices]
    return [
        plain(summary.run_id),
        f"{summary.outcome} ({summary.exit_code})",
        plain(detector),
        *(f"{number:,}" for number in numbers),
        f"{summary.seconds.get('total', 0.0):.1f}",
        f"{summary.slices / seconds:.1f}" if seconds else "",
    ]


def _scores(report: RunReport) -> Table:
    table = Table(title="Image scores of slices (0..1)", title_justify="left")
    for name in ("", "slices", "p50", "p95", "p99", "max"):
        table.add_column(name, justify="right" if name else "left")
    table.add_row("this run", *_percentiles(report.own.scores))
    table.add_row("all under the same settings", *_percentiles(report.same_settings.scores))
    return table


def _percentiles(scores: ScoreHistogram) -> list[str]:
    values = [f"{value:.4f}" for _, value in scores.markers()]
    return [f"{scores.total:,}", *(values or [""] * 4)]


def _reasons(report: RunReport) -> Table:
    table = Table(title="Quarantine by reason", title_justify="left")
    for name in ("reason", "this run", "all", ""):
        table.add_column(name, justify="right" if "run" in name or name == "all" else "left")
    most = max(report.same_settings.reasons.values())
    for reason, count in report.same_settings.reasons.most_common():
        bar = "█" * max(1, round(BAR_CELLS * count / most))
        table.add_row(plain(str(reason)), f"{report.own.reasons[reason]:,}", f"{count:,}", bar)
    return table


def _stages(summary: RunSummary) -> Table:
    table = Table(title="Speed", title_justify="left")
    for name in ("stage", "seconds", "done", "per second"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage in stages(summary):
        done = f"{stage.count:,} {stage.unit}"
        table.add_row(stage.name, f"{stage.seconds:.1f}", done, f"{stage.rate:.1f}")
    return table
