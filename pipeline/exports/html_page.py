"""One self-contained page of the highest scores: no server, no script, nothing fetched, all data escaped."""

import base64
import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from markupsafe import Markup

from s2sw.connectors.slices import Slice
from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options, Write
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.exports.revealing import MEANING
from s2sw.pipeline.pages.overlaid import Overlaid, legend_style, overlaid
from s2sw.pipeline.pages.rendering import template
from s2sw.pipeline.reports.summary_text import UNTRAINED
from s2sw.schemas.tables import rank_of

SIDE = 560
"""Pixels of the longer side of a picture on the page."""


@dataclass(frozen=True)
class Card:
    """One slice on the page. alt: what the picture is, for who cannot see it."""

    rank: int
    picture: Overlaid
    alt: str
    facts: list[tuple[str, str]]


def page_writer(name: str) -> Write:
    """Return the function that writes the page as a file of this name."""

    def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
        cards: list[Card] = []
        for case in cases:
            cards += reader.made(case, functools.partial(_card, case=case, options=options))
        cards.sort(key=lambda card: card.rank)
        folder.write(name, page(cards, options).encode("utf-8", "replace"))
        return len(cards)

    return write


def page(cards: list[Card], options: Options) -> str:
    """Return the page. Its policy allows this very style and pictures within the page, and nothing else."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return template("export.html").render(
        cards=cards,
        options=options,
        untrained=None if options.trained else UNTRAINED,
        holds=[MEANING[reveal] for reveal in sorted(options.reveals)],
        style=Markup(style),  # noqa: S704 (our own file)
        style_hash=f"sha256-{digest}",
    )


@functools.cache
def _style() -> str:
    folder = files("s2sw.pipeline.pages") / "templates"
    sheets = [(folder / name).read_text() for name in ("page.css", "overlaid.css", "export.css")]
    return "\n".join([*sheets, legend_style()])


def _card(finding: Finding, picture: Slice, case: Case, options: Options) -> Card:
    row = finding.row
    heat, mask = finding.drawn()
    place = f"slice {row['slice_index'] + 1} of {row['n_slices']}"
    name = options.name_of(case)
    return Card(
        rank=finding.rank,
        picture=overlaid(picture.pixels, heat, mask, picture.geometry, SIDE),
        alt=f"Rank {finding.rank}: {name}, {place}",
        facts=[
            ("rank", str(finding.rank)),
            ("object", name),
            ("slice", f"{place} ({row['plane']}, {row['rows']} x {row['cols']} pixels)"),
            ("score", f"{rank_of(row):.4f}"),
            ("map", f"at most {row['map_max']:.4f}, {mask.mean():.2%} above {finding.cut:g}"),
            ("modality", row["modality"] or case.decoder),
        ],
    )
