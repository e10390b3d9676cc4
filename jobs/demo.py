"""``s2sw demo``: screen a small real archive on this machine and look at what comes out."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from s2sw.jobs.errors import EXIT_USAGE, fail

if TYPE_CHECKING:
    from s2sw.pipeline.results.reading import Results

TOP = 8
NAMED = 16
MARKER = ".s2sw-demo"

QUERY = """
SELECT s.*, o.uri, o.decoder FROM slices s JOIN objects o USING (object_id)
ORDER BY {place} DESC, uri, slice_index LIMIT {limit}
"""

COMMANDS = (
    "  {s2sw} review {output}",
    "  {s2sw} report {output}",
    '  {python} -c \'import duckdb; duckdb.sql("""SELECT uri, max_rank_score, max_score '
    'FROM "{output}/objects/*.parquet" ORDER BY max_rank_score DESC NULLS LAST LIMIT 10""").show()\'',
)


def command(
    folder: Annotated[Path, typer.Argument(help="Where to put archive, results and pictures.")] = Path(
        "demo-output"
    ),
) -> None:
    """Make a small archive of real images and medical slices, screen it, and show what was found.

    Solar cells, DICOM files, NIfTI volumes and a few broken files, all from installed packages: no download.
    An earlier demo in the folder is deleted.
    """
    try:
        from s2sw.jobs.demo_archive import make_archive
    except ImportError as error:
        fail(f"the demo needs the package {error.name}: pip install 's2sw[demo]'", EXIT_USAGE)
    console = Console(highlight=False)
    _clear(folder)
    archive, output = folder / "archive", folder / "results"
    count = make_archive(archive)
    console.print(f"An archive of {count} files lies in {archive}; screening it into {output}", markup=False)
    _screen(archive, output, folder / "private")
    _show_found(console, archive, output, folder / "overlays")
    _show_commands(console, output)


def _screen(archive: Path, output: Path, private: Path) -> None:
    from s2sw.jobs.screen import run
    from s2sw.schemas.config import ScreenConfig

    code = run(
        ScreenConfig(
            source=str(archive),
            output=str(output),
            private_dir=str(private),
            mode="open",
        )
    )
    if code:
        raise typer.Exit(code)


def _show_found(console: Console, archive: Path, output: Path, overlays: Path) -> None:
    from s2sw.pipeline.results.reading import open_results
    from s2sw.schemas.tables import SORTED

    results = open_results(str(output))
    top = results.sql(QUERY.format(limit=TOP, place=SORTED)).to_arrow_table().to_pylist()
    _show(console, top, archive)
    _quarantine(console, results, archive)
    _write_overlays(top, overlays)
    console.print(f"Anomaly maps over these slices: {overlays}/*.png", soft_wrap=True, markup=False)


def _show_commands(console: Console, output: Path) -> None:
    console.print("Look at the results yourself:", soft_wrap=True)
    for line in COMMANDS:
        text = line.format(s2sw=_command(), python=_shown(Path(sys.executable)), output=output)
        console.print(text, soft_wrap=True, markup=False)


def _command() -> str:
    """Return how this installation's command is called: by its name where the shell finds it."""
    here = Path(sys.executable).with_name("s2sw")
    found = shutil.which("s2sw")
    return "s2sw" if found and Path(found).resolve() == here.resolve() else _shown(here)


def _shown(path: Path) -> str:
    """Return a path below the current folder as people type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _clear(folder: Path) -> None:
    """Remove an earlier demo, and nothing else."""
    marker = folder / MARKER
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        fail(f"{folder} is not empty and was not made by the demo: name another folder", EXIT_USAGE)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        marker.touch()
    except OSError as error:
        fail(f"cannot write to {folder}: {error.strerror}", EXIT_USAGE)


def _show(console: Console, rows: list[dict[str, Any]], archive: Path) -> None:
    table = Table(title="Most anomalous slices", title_justify="left")
    for name in ("rank score", "image score", "map max", "file", "slice", "modality"):
        table.add_column(name)
    for row in rows:
        place = f"{row['slice_index'] + 1} of {row['n_slices']}"
        name = str(Path(row["uri"]).relative_to(archive.absolute()))
        rank = "" if row["rank_score"] is None else f"{row['rank_score']:.4f}"
        score, peak = f"{row['image_score']:.4f}", f"{row['map_max']:.4f}"
        table.add_row(rank, score, peak, name, place, row["modality"] or row["decoder"])
    console.print(table)


def _quarantine(console: Console, results: "Results", archive: Path) -> None:
    rows = results.sql(
        "SELECT uri, reason FROM objects WHERE status = 'quarantined' ORDER BY reason, uri"
    ).fetchall()
    names = [f"{Path(uri).relative_to(archive.absolute())} ({reason})" for uri, reason in rows]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    console.print(f"Quarantined: {', '.join(names[:NAMED]) or 'nothing'}{more}", soft_wrap=True, markup=False)


def _write_overlays(rows: list[dict[str, Any]], folder: Path) -> None:
    from s2sw.connectors.decode import decode
    from s2sw.pipeline.imaging.encoding import png_bytes
    from s2sw.pipeline.imaging.overlays import overlay
    from s2sw.pipeline.results.reading import full_map, mask
    from s2sw.schemas.decoding import DecodeSettings
    from s2sw.schemas.tables import rank_of

    folder.mkdir()
    for place, row in enumerate(rows, start=1):
        source = Path(row["uri"])
        _, slices = decode(source.read_bytes(), DecodeSettings())
        picture = next(s for i, s in enumerate(slices) if i == row["slice_index"])
        text = f"{source.name}, slice {row['slice_index'] + 1}: score {rank_of(row):.4f}"
        drawn = overlay(picture.pixels, full_map(row), mask(row), picture.geometry.aspect)
        (folder / f"{place:02}-{source.stem}.png").write_bytes(png_bytes(drawn, text))
