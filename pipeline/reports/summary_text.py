"""The closing summary on the terminal: what was listed, how it ended, how fast it went."""

from rich.console import Console
from rich.table import Table

from s2sw.pipeline.reports.terminal import plain
from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.outcomes import Status
from s2sw.schemas.run_record import RunSummary

EXPLANATIONS = {
    Status.SCREENED: "scored, every slice",
    Status.NO_PIXELS: "valid, but no picture to screen",
    Status.QUARANTINED: "could not be screened",
    Status.DEFERRED: "left for the next run",
}
UNTRAINED = "its scores show that the pipeline works, and nothing more"


def print_summary(summary: RunSummary, config: ScreenConfig, console: Console | None = None) -> None:
    """Print the counts, which add up, the reasons, the speed and where the results are."""
    console = console or Console(highlight=False)
    console.print(counts_table(summary))
    if summary.reasons:
        reasons = ", ".join(f"{name} {count}" for name, count in sorted(summary.reasons.items()))
        console.print(f"Reasons in this run: {reasons}")
    console.print(accounting_line(summary))
    if summary.left_out:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(summary.left_out.items()))
        console.print(f"Files in the source that s2sw wrote itself are left out: {kinds}")
    console.print(speed_line(summary))
    console.print(detector_line(summary.bundle))
    console.print(
        plain(f"Results: {config.output}  (slices/, objects/, runs/{summary.run_id}.json)"), soft_wrap=True
    )


def counts_table(summary: RunSummary) -> Table:
    """Return the counts by status: of the whole listing, and of this run."""
    table = Table(title=f"Run {summary.run_id}", title_justify="left")
    table.add_column("objects")
    table.add_column("all", justify="right")
    table.add_column("this run", justify="right")
    table.add_column("")
    for status in Status:
        total, new = summary.by_status.get(status, 0), summary.new.get(status, 0)
        table.add_row(status.value, str(total), str(new), EXPLANATIONS[status])
    table.add_section()
    table.add_row("listed", str(summary.listed), "", f"{summary.already_done} done by earlier runs")
    return table


def accounting_line(summary: RunSummary) -> str:
    """Say whether every listed object has one status, in rich markup."""
    if not summary.by_status:
        return "[bold red]NOT accounted for: the run ended before it compared what is committed[/]"
    parts = " + ".join(str(summary.by_status.get(status, 0)) for status in Status)
    if summary.missing or summary.duplicates:
        return (
            f"[bold red]NOT accounted for: {summary.missing} missing, {summary.duplicates} twice "
            f"({summary.listed} listed, {parts})[/]"
        )
    return f"Accounted for by id: {summary.listed} listed = {parts}"


def speed_line(summary: RunSummary) -> str:
    """Say how fast the run was."""
    screening = summary.seconds.get("screen", 0.0)
    if not screening:
        if summary.by_status.get(Status.DEFERRED):
            cause = "Stopped" if summary.interrupted else "The time window was over"
            return f"{cause} before any object was started"
        return f"Nothing was left to do ({summary.seconds.get('total', 0.0):.1f} s)"
    return (
        f"{summary.slices} slices in {screening:.1f} s: {summary.slices / screening:.1f} slices/s, "
        f"start-up of the detector included"
    )


def detector_line(bundle: dict[str, object]) -> str:
    """Say which detector made the scores, and plainly if it was never trained."""
    line = plain(f"Detector: {bundle['detector']}, prompts: {bundle['prompts']}")
    if not bundle["trained"]:
        line += f"\n[bold yellow]UNTRAINED: {UNTRAINED}[/]"
    return line
