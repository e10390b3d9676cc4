"""``s2sw export``: results in the formats of other tools, and as one page."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from s2sw.jobs.errors import EXIT_FAILED, EXIT_USAGE, fail, warn
from s2sw.jobs.options import EndpointOption, FingerprintOption, PrivateOption, ResultsArgument
from s2sw.jobs.reading import open_output, protect, results_config
from s2sw.pipeline.exports.names import FormatName
from s2sw.pipeline.exports.revealing import MEANING, Reveal

if TYPE_CHECKING:
    from s2sw.connectors.outputs.folder import OutputFolder
    from s2sw.pipeline.exports.exporting import Choice, Export, Exported
    from s2sw.schemas.config import ResultsConfig


FormatOption = Annotated[
    FormatName | None, typer.Option("--format", "-f", help="Format of the files.", show_default=False)
]
ToOption = Annotated[
    Path | None, typer.Option(help="Folder for the files, new or empty.", show_default=False)
]
HtmlOption = Annotated[
    Path | None,
    typer.Option(help="Write one self-contained page with pictures instead.", show_default=False),
]
TopOption = Annotated[
    int, typer.Option(min=0, help="Take the N slices with the highest scores; 0 takes all.")
]
MinScoreOption = Annotated[
    float,
    typer.Option(min=0, max=1, help="Take only slices whose rank score, else image score, is at least this."),
]
FlaggedOption = Annotated[
    bool, typer.Option("--flagged", help="Take slices that reach the newest run's flagging thresholds.")
]
ThresholdOption = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, help="Map value from which a pixel is in the mask, 0..1.  [default: as stored]"
    ),
]
RevealOption = Annotated[
    list[Reveal] | None,
    typer.Option(help="What an export of private results may hold; may be repeated.", show_default=False),
]


BomOption = Annotated[
    bool,
    typer.Option("--excel", help="Start the CSV with a byte-order mark, so that Excel reads it as UTF-8."),
]


def command(
    results: ResultsArgument,
    format_: FormatOption = None,
    to: ToOption = None,
    html: HtmlOption = None,
    top: TopOption = 100,
    min_score: MinScoreOption = 0.0,
    flagged: FlaggedOption = False,
    threshold: ThresholdOption = None,
    reveal: RevealOption = None,
    fingerprint: FingerprintOption = None,
    excel: BomOption = False,
    private_dir: PrivateOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Write the highest-scored slices in the format of another tool, or as one page that needs no server.

    Pictures are read from the source; those that cannot be read are left out and counted by reason. From
    private results, `--reveal` must name what an export may hold: pixels (pictures), names (addresses),
    patient (what a DICOM object copies from the one it refers to).

    Exit codes: 0 done, 1 nothing could be written, 2 bad usage.

    Examples:

    `s2sw export /results --format coco --to coco --threshold 0.4`

    `s2sw export /results --format dicom-seg --to seg --top 50 --reveal patient`

    `s2sw export /results --html top.html --reveal pixels`
    """
    target = _target(format_, to, html)
    if excel and format_ is not FormatName.CSV:
        fail("--excel is for --format csv", EXIT_USAGE)
    from s2sw.pipeline.exports.exporting import Choice

    choice = Choice(top or None, min_score, flagged, threshold, frozenset(reveal or ()), fingerprint, excel)
    _say(_export(results_config(results, endpoint_url, private_dir), target, choice), target)


def _export(config: "ResultsConfig", target: "Target", choice: "Choice") -> "Exported":
    import duckdb

    folder = open_output(config)
    try:
        return _write(_prepare(folder, target, choice, config), target, folder, config)
    except OSError as error:
        fail(f"cannot write to {target.folder}: {error.strerror or type(error).__name__}", EXIT_FAILED)
    except duckdb.Error as error:
        fail(f"cannot read {folder.root}: {' '.join(str(error).split())}", EXIT_FAILED)


@dataclass(frozen=True)
class Target:
    """Where the files go. format_: None for the page, a file of this name in the folder."""

    folder: Path
    format_: FormatName | None
    page: str = ""

    @property
    def place(self) -> Path:
        """What a user looks at afterwards."""
        return self.folder / self.page


def _target(format_: FormatName | None, to: Path | None, html: Path | None) -> Target:
    if html is not None:
        if format_ is not None or to is not None:
            fail("--html is a format of its own; leave out --format and --to", EXIT_USAGE)
        if html.is_dir():
            fail(f"--html {html} is a folder; name a file, such as {html / 'top.html'}", EXIT_USAGE)
        return Target(html.parent, None, html.name)
    if format_ is None or to is None:
        fail("name a format and a folder (--format coco --to DIR), or a page (--html FILE)", EXIT_USAGE)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        fail(f"--to {to} is not empty; name a new folder", EXIT_USAGE)
    return Target(to, format_)


def _prepare(results: "OutputFolder", target: Target, choice: "Choice", config: "ResultsConfig") -> "Export":
    """Check all that can be checked before anything is written."""
    from s2sw.pipeline.exports.exporting import Export
    from s2sw.pipeline.exports.formats import FORMATS, lacking, page_format
    from s2sw.pipeline.ledger.output_key import output_key
    from s2sw.pipeline.privacy.environment import enter_reader
    from s2sw.pipeline.privacy.private_bucket import open_inside
    from s2sw.pipeline.results.opening import readable

    format_ = FORMATS[target.format_] if target.format_ else page_format(target.page)
    if package := lacking(format_):
        fail(
            f"the format {target.format_} needs the package {package}: pip install 's2sw[dicom-export]'",
            EXIT_USAGE,
        )
    with readable(results):
        protect(results)
        key = output_key(open_inside(config.private_dir, config.storage), results).key
        export = Export(results, target.format_ or "html", format_, choice, key)
        enter_reader(export.private)  # its objects may say so where no record does
    return export


def _write(export: "Export", target: Target, results: "OutputFolder", config: "ResultsConfig") -> "Exported":
    """Say what the export reveals, then write it."""
    from s2sw.pipeline.privacy.private_bucket import open_inside
    from s2sw.pipeline.results.sources import Sources

    held = "; ".join(MEANING[reveal] for reveal in sorted(export.reveals))
    beyond = f", and {held}" if held else " and nothing else"
    Console(highlight=False, soft_wrap=True).print(
        f"This export holds rows of the results{beyond}.", markup=False
    )
    inside = open_inside(config.private_dir, config.storage)
    return export.run(target.folder, Sources(results, inside, config.storage, config.source))


def _say(exported: "Exported", target: Target) -> None:
    """Print the account of the export."""
    from s2sw.pipeline.exports.reading import PARTLY

    Console(highlight=False, soft_wrap=True).print(
        f"{exported.written} slices written to {target.place}", markup=False
    )
    if exported.skipped:
        reasons = ", ".join(f"{reason} {count}" for reason, count in exported.skipped.most_common())
        warn(f"{exported.skipped.total()} slices were left out or have no picture: {reasons}")
    for reason, count in exported.partly.items():
        warn(f"{count} of the slices written {PARTLY[reason]}")
    if exported.no_source:
        warn(exported.no_source)
    if exported.skipped and not exported.written:
        raise typer.Exit(EXIT_FAILED)
