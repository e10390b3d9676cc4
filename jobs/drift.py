"""``s2sw drift``: whether scores, pictures or failures have changed beside the archive's past."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from s2sw.jobs.options import EndpointOption, FingerprintOption, ResultsArgument
from s2sw.jobs.reading import open_output, results_config

if TYPE_CHECKING:
    from s2sw.pipeline.evidence.drift import Change

WIDTH = 140
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]


def command(
    results: ResultsArgument,
    as_json: JsonOption = False,
    fingerprint: FingerprintOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Tell whether groups of the newest run differ from their past: scores, brightness, sharpness, size.

    The reference is the 60 days that ended three days before the run, under the same settings. The share of
    quarantined objects is compared as well. p-values are corrected for the number of comparisons. The exit
    code is 0 whatever is found (docs/worklist.md).

    Examples:

    `s2sw drift /results`
    """
    from s2sw.pipeline.evidence.drift import drift, sentence
    from s2sw.pipeline.evidence.worklist import newest_run
    from s2sw.pipeline.results.opening import readable
    from s2sw.pipeline.results.reading import chosen_results

    folder = open_output(results_config(results, endpoint_url))
    with readable(folder):
        found = chosen_results(folder, fingerprint)
        changes = drift(found, newest_run(found))
    if as_json:
        rows = [asdict(change) | {"moved": change.moved} for change in changes]
        typer.echo(json.dumps({"says": sentence(changes), "changes": rows}, indent=2, default=str))
        return
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    if changes:
        console.print(_table(changes))
    console.print(sentence(changes), markup=False, soft_wrap=True)


def _table(changes: list["Change"]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("group", "measure", "before", "now", "effect", "p", "objects", "reference", "moved"):
        table.add_column(name, no_wrap=True)
    for one in changes:
        numbers = (f"{one.before:.4g}", f"{one.now:.4g}", f"{one.effect:.3f}", f"{one.p_value:.2g}")
        counts = (f"{one.objects:,}", f"{one.reference:,}")
        moved = f"since {one.since}" if one.moved and one.since else "yes" if one.moved else ""
        table.add_row(one.group, one.measure, *numbers, *counts, moved)
    return table
