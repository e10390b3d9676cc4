"""``s2sw worklist``: which objects or cases to open, and how many of them are false alarms."""

import csv
import json
import re
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from s2sw.jobs.errors import EXIT_FAILED, EXIT_USAGE, fail
from s2sw.jobs.options import EndpointOption, FingerprintOption, ResultsArgument
from s2sw.jobs.reading import open_output, protect, results_config

if TYPE_CHECKING:
    import pyarrow as pa

    from s2sw.connectors.outputs.folder import OutputFolder
    from s2sw.pipeline.evidence.worklist import Worklist
    from s2sw.schemas.flagging import FlagSettings

SHOWN = 20
WIDTH = 140  # a row is one line on a narrow terminal, too

FdrOption = Annotated[
    float | None,
    typer.Option(min=1e-6, max=0.99, help="List as many as keep the share of false alarms below this, 0..1."),
]
BudgetOption = Annotated[int | None, typer.Option(min=1, help="List this many.")]
SinceOption = Annotated[
    str | None,
    typer.Option(help="Include all runs since this day (2026-07-01).  [default: the newest run]"),
]
ByOption = Annotated[
    Literal["object", "case", "study", "patient", "series"],
    typer.Option(help="List objects, or cases: what `flag.cases` says, or a study, patient or series."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the list as one JSON document.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print the list as CSV.")]


def command(
    results: ResultsArgument,
    fdr: FdrOption = None,
    budget: BudgetOption = None,
    since: SinceOption = None,
    by: ByOption = "object",
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
    fingerprint: FingerprintOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """List what to open from the newest run, the strongest evidence first, and how far to trust the list.

    Scores are compared with those of all earlier runs under the same settings. --fdr or --budget sets the
    length of the list; by default the newest run's configuration (`flag.fdr`, `flag.budget`), else --fdr 0.1.
    All objects of the run, with p-values and q-values, are written to worklist/RUN.parquet (cases to
    cases/RUN.parquet), and the p-values of all slices to p_values/RUN.parquet (docs/worklist.md).

    Examples:

    `s2sw worklist /results --budget 200`

    `s2sw worklist /results --fdr 0.05 --since 2026-07-01 --csv`
    """
    from s2sw.pipeline.results.opening import readable

    size = _size(fdr, budget)
    if as_json and as_csv:
        fail("--json and --csv: name one of them", EXIT_USAGE)
    start = _start(since)
    folder = open_output(results_config(results, endpoint_url))
    with readable(folder):
        worklist, name = _make(folder, fingerprint, size, start, by)
    if as_json:
        typer.echo(json.dumps(_document(worklist, by), indent=2, default=str))
    elif as_csv:
        _print_csv(worklist)
    else:
        _print(worklist, by, name)


def _size(fdr: float | None, budget: int | None) -> "FlagSettings | None":
    from s2sw.schemas.flagging import FlagSettings

    if fdr is not None and budget is not None:
        fail("--fdr and --budget: name one of them, each says how long the list is", EXIT_USAGE)
    return None if fdr is None and budget is None else FlagSettings(fdr=fdr, budget=budget)


def _start(since: str | None) -> str:
    """Return the beginning of the ids of runs of a day."""
    if since is None:
        return ""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", since, re.ASCII):
        fail(f"--since {since}: a day such as 2026-07-01 is expected", EXIT_USAGE)
    return since.replace("-", "")


def _make(
    folder: "OutputFolder", asked: str | None, size: "FlagSettings | None", start: str, by: str
) -> tuple["Worklist", str]:
    """Make and write a worklist; return it and its file's name."""
    from s2sw.pipeline.evidence import worklist as lists
    from s2sw.pipeline.evidence.cases import CASES_BY
    from s2sw.pipeline.evidence.making import KINDS
    from s2sw.pipeline.evidence.slices import slice_p_values, write_p_values
    from s2sw.pipeline.flagging.rule import flag_settings
    from s2sw.pipeline.results.reading import chosen_results

    protect(folder)
    found = chosen_results(folder, asked)
    configured = flag_settings(folder)
    size = size or (configured if configured.lists else lists.DEFAULT)
    size = size.model_copy(update={"cases": by if by in CASES_BY else configured.cases})
    make, place = KINDS[_kind(by)]
    worklist = make(found, lists.newest_run(found), size, start)
    try:
        write_p_values(folder, slice_p_values(found, worklist.run_id, start), worklist.run_id)
        return worklist, lists.write(folder, worklist, place)
    except OSError as error:
        fail(f"cannot write the worklist to {folder.root}: {error.strerror}", EXIT_FAILED)


def _kind(by: str) -> str:
    return "object" if by == "object" else "case"


def _document(worklist: "Worklist", by: str) -> dict[str, Any]:
    value = worklist.value
    return {
        "run_id": worklist.run_id,
        "by": by,
        "says": value.sentence(f"{_kind(by)}s"),
        **asdict(value),
        "fdr": value.fdr,
        "rows": worklist.listed().to_pylist(),
    }


def _print_csv(worklist: "Worklist") -> None:
    rows = worklist.listed()
    table = csv.writer(sys.stdout)
    table.writerow(rows.column_names)
    table.writerows(row.values() for row in rows.to_pylist())


def _print(worklist: "Worklist", by: str, name: str) -> None:
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    rows = worklist.listed()
    if len(rows):
        console.print(_table(rows.slice(0, SHOWN), _kind(by)))
    if len(rows) > SHOWN:
        console.print(f"... and {len(rows) - SHOWN:,} more")
    console.print(worklist.value.sentence(f"{_kind(by)}s"))
    console.print(f"All of run {worklist.run_id}: {name}")


def _table(rows: "pa.Table", by: str) -> Table:
    own = (
        {"slice_index": "{}"}
        if by == "object"
        else {"n_objects": "{:,}", "n_findings": "{:,}", "change": "{:+.4f}"}
    )
    columns = {
        "rank": "{}", f"{by}_id": "{}", **own, "n_slices": "{:,}", "score": "{:.4f}", "group": "{}",
        "n_past": "{:,}", "p_value": "{:.2g}", "q_value": "{:.2g}",
    }  # fmt: skip
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in ("group", f"{by}_id") else "right", no_wrap=True)
    for row in rows.select(list(columns)).to_pylist():
        table.add_row(*("" if row[c] is None else form.format(row[c]) for c, form in columns.items()))
    return table
