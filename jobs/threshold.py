"""``s2sw threshold``: from decisions, or from results taken as normal, to a flagging threshold."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.console import Console
from rich.table import Table

from s2sw.jobs.errors import EXIT_FAILED, EXIT_USAGE, fail
from s2sw.jobs.options import EndpointOption, FingerprintOption, ResultsArgument
from s2sw.jobs.reading import open_output, results_config

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from s2sw.connectors.outputs.folder import OutputFolder
    from s2sw.pipeline.flagging.proposals import Answer
    from s2sw.pipeline.flagging.thresholds import Proposal
    from s2sw.schemas.flagging import FlagSettings

WIDTH = 140  # a group is one line on a narrow terminal, too


PrecisionTarget = Annotated[
    float | None,
    typer.Option(min=0.01, max=1, help="Share of flagged slices that are anomalies, 0..1."),
]
RateTarget = Annotated[
    float | None, typer.Option(min=1e-6, max=0.5, help="Share of normal slices that are flagged, 0..1.")
]
ByOption = Annotated[
    str, typer.Option(help="One threshold for each site, modality, or site,modality.  [default: one for all]")
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", help="Use decisions (for a precision) or normals (for a rate).  [default: what fits]"
    ),
]
BudgetOption = Annotated[
    int | None, typer.Option(min=1, help="Tell how many of each night's first N objects were anomalies.")
]
ToOption = Annotated[Path | None, typer.Option(help="File for the thresholds.  [default: the terminal]")]


def command(
    results: ResultsArgument,
    target_precision: PrecisionTarget = None,
    target_rate: RateTarget = None,
    by: ByOption = "",
    from_: FromOption = None,
    to: ToOption = None,
    budget: BudgetOption = None,
    fingerprint: FingerprintOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Propose a flagging threshold: the image score from which a slice is flagged for review.

    With --target-precision: the lowest threshold at which this share of the decided slices at or above it are
    anomalies, by reviewers' decisions. With --target-rate: the lowest threshold that flags at most this share
    of normal slices; all slices that no reviewer accepted count as normal. Both use the newest run's settings
    and come with 95 % intervals. Give the file to `s2sw screen --flag FILE`, or copy its key `flag` into a
    job file.

    With --budget N it tells how many of the first N objects of each worklist reviewers found to be anomalies,
    and recommends --fdr or a budget (docs/worklist.md).

    Exit codes: 0 proposed, 1 too little to propose from, 2 bad usage.

    Examples:

    `s2sw threshold /results --target-precision 0.8 --by site,modality --to flag.yaml`

    `s2sw threshold /results --target-rate 0.01`
    """
    if budget is None:
        goal = _goal(target_precision, target_rate, from_)
    elif target_precision is not None or target_rate is not None or by or from_ or to:
        fail("--budget: leave out the other options, it proposes no threshold", EXIT_USAGE)
    folder = open_output(results_config(results, endpoint_url))
    if budget is not None:
        _say_reviewed(folder, fingerprint, budget)
        return
    columns = [name.strip() for name in by.split(",") if name.strip()]
    _say(*_propose(folder, fingerprint, goal, columns), goal, to)


CLAIMS = (0.05, 0.1, 0.2, 0.5, None)
"""Shares of false alarms whose lists are told apart; None: the whole budget."""


def _say_reviewed(folder: "OutputFolder", asked: str | None, budget: int) -> None:
    """Print what decisions say of the worklists, and what to ask for. Ends the command where they are few."""
    from s2sw.pipeline.evidence.reviewed import advice, reviewed
    from s2sw.pipeline.flagging.thresholds import FEWEST_DECISIONS
    from s2sw.pipeline.results.opening import readable
    from s2sw.pipeline.results.reading import chosen_results

    with readable(folder):
        fingerprint = chosen_results(folder, asked).fingerprint
        found, quarters = reviewed(folder, fingerprint, budget, CLAIMS)
    whole = found[-1]
    if whole.decided < FEWEST_DECISIONS:
        problem = f"{whole.decided} objects of worklists are decided; {FEWEST_DECISIONS} or more are needed"
        fail(f"nothing can be said of the budget: {problem}", EXIT_FAILED)
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, WIDTH)
    table = Table(box=None, pad_edge=False)
    for name in ("list", "objects", "decided", "anomalies", "precision", "false alarms"):
        table.add_column(name)
    names = [f"budget {budget:,}" if claim is None else f"fdr {claim:g}" for claim in CLAIMS]
    rows = [*zip(names, found, strict=True)]
    rows += [(f"ranks {one.first:,} to {one.last:,}", one.found) for one in quarters]
    for name, one in rows:
        low, high = one.interval
        shown = f"{one.precision:.4f} ({low:.4f} to {high:.4f})" if one.decided else ""
        table.add_row(name, f"{one.listed:,}", f"{one.decided:,}", f"{one.anomalies:,}", shown, one.verdict)
    console.print(table)
    sure = [c for c, one in zip(CLAIMS, found, strict=True) if c and one.shows(c)]
    console.print(
        f"Of {whole.nights:,} nights. Use --fdr {max(sure):g}: decisions show that it holds."
        if sure
        else f"Of {whole.nights:,} nights. No share of false alarms is shown to hold yet. {advice(quarters)}"
    )


@dataclass(frozen=True)
class Goal:
    """What is asked for: a precision, or a rate of normal slices."""

    precision: float | None
    rate: float | None

    @property
    def source(self) -> str:
        """Where the scores come from."""
        return "normals" if self.precision is None else "decisions"

    def threshold(self, scores: "NDArray[np.float64]", anomalous: "NDArray[np.bool_]") -> "Proposal":
        """Return the lowest threshold that meets it. Raises TooFewError."""
        from s2sw.pipeline.flagging.thresholds import for_precision, for_rate

        if self.precision is not None:
            return for_precision(scores, anomalous, self.precision)
        return for_rate(scores, self.rate or 0.0)


def _goal(precision: float | None, rate: float | None, from_: str | None) -> Goal:
    """Return the goal; refuse what cannot be answered."""
    if (precision is None) == (rate is None):
        fail("name one of --target-precision and --target-rate", EXIT_USAGE)
    goal = Goal(precision, rate)
    if from_ not in (None, goal.source):
        asked = "--target-rate" if precision is None else "--target-precision"
        # reviewers look at high scores first: what they rejected is no sample of what is normal
        fail(f"--from {from_}: {asked} needs --from {goal.source}", EXIT_USAGE)
    return goal


def _propose(
    folder: "OutputFolder", asked: str | None, goal: Goal, by: list[str]
) -> tuple[list["Answer"], "FlagSettings", tuple[int, int]]:
    """Return the answers, the settings that they make, and how many slices these would flag of how many."""
    from s2sw.pipeline.flagging.decisions import decisions
    from s2sw.pipeline.flagging.proposals import propose, settings
    from s2sw.pipeline.flagging.rule import would_flag
    from s2sw.pipeline.results.opening import chosen_fingerprint, readable
    from s2sw.pipeline.results.reading import Results
    from s2sw.pipeline.results.sql_views import EVERY

    with readable(folder):
        connection = Results(folder, EVERY).connect()
        connection.register("decisions", decisions(folder))
        fingerprint = chosen_fingerprint(connection, folder, asked)
        answers = propose(connection, fingerprint, goal.source, by, goal.threshold)
        flag = settings(answers)
        return answers, flag, would_flag(connection, fingerprint, flag)


def _say(
    answers: list["Answer"], flag: "FlagSettings", counts: tuple[int, int], goal: Goal, to: Path | None
) -> None:
    """Print the table and write the thresholds. Ends the command where there are none."""
    console = Console(highlight=False, soft_wrap=True, stderr=to is None)
    console.width = max(console.width, WIDTH)
    console.print(_table(answers, "rate" if goal.precision is None else "precision"))
    if flag.threshold is None and not flag.groups:
        fail(f"no threshold can be proposed: {answers[0].problem}", EXIT_FAILED)
    console.print(f"Of the {counts[1]:,} slices so far {counts[0]:,} would be flagged.")
    _write(flag, to)
    if to is not None:
        console.print(f"Thresholds: {to}; use them with s2sw screen --flag {to}", markup=False)


def _table(answers: list["Answer"], word: str) -> Table:
    table = Table(title="Flagging thresholds on the image score, with 95 % intervals", title_justify="left")
    for name in ("slices", "threshold", word, "from"):
        table.add_column(name)
    for answer in answers:
        group = ", ".join(f"{name} {value or 'none'}" for name, value in answer.group.items()) or "all"
        found = answer.proposal
        if found is None:
            table.add_row(group, "as for all" if answer.group else "none", "", answer.problem)
            continue
        place = found.threshold_interval
        around = f" ({place[0]:.4f} to {place[1]:.4f})" if place else ""
        low, high = found.interval
        achieved = f"{found.achieved:.4f} ({low:.4f} to {high:.4f})"
        table.add_row(group, f"{found.threshold:g}{around}", achieved, f"{found.sample:,} slices")
    return table


def _write(flag: "FlagSettings", to: Path | None) -> None:
    values = flag.model_dump(mode="json", exclude_none=True, exclude={"cases"})
    text = yaml.safe_dump({"flag": values}, sort_keys=False)
    if to is None:
        typer.echo(text, nl=False)
        return
    try:
        to.write_text(text)
    except OSError as error:
        fail(f"cannot write {to}: {error.strerror}", EXIT_FAILED)
