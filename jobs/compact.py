"""``s2sw compact``: merge small parts of an output into large ones."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from s2sw.jobs.options import EndpointOption, PrivateOption, ResultsArgument
from s2sw.jobs.reading import open_output, protect, results_config

if TYPE_CHECKING:
    from s2sw.connectors.outputs.folder import OutputFolder

RowsOption = Annotated[int, typer.Option(min=2, help="Maximum number of slices, and of objects, in a part.")]


def command(
    results: ResultsArgument,
    rows: RowsOption = 20_000,
    private_dir: PrivateOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Merge small parts into large ones, and rewrite parts that an earlier version put into folders.

    Rows do not change. A merged part is sorted by day and score, so that readers can skip row groups. No run
    can work on the output at the same time. After a crash s2sw still reads every row once, but other programs
    may see rows twice until the same command, or the next run, has finished. The audit log gets an entry.

    Exit codes: 0 done, 1 another run works on the output, 2 bad usage.

    Examples:

    `s2sw compact /results`

    `s2sw compact nightly.yaml --rows 100000`
    """
    from s2sw.pipeline.ledger.output_key import output_key
    from s2sw.pipeline.privacy.private_bucket import open_inside
    from s2sw.pipeline.results.compacting import compact
    from s2sw.pipeline.results.opening import readable

    config = results_config(results, endpoint_url, private_dir)
    folder = open_output(config)
    key = output_key(open_inside(config.private_dir, config.storage), folder)
    with readable(folder):
        before, after = compact(folder, rows, protect(folder), key)
    _say(folder, before, after)


def _say(folder: "OutputFolder", before: int, after: int) -> None:
    text = f"{before} parts merged into {after}" if before else "nothing to merge"
    Console(highlight=False, soft_wrap=True).print(f"{text}: {folder.root}", markup=False)
