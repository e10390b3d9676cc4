"""The table of docs/performance.md that is made from benchmarks/measured/*.json."""

import json
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "benchmarks" / "measured"
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- made by python -m benchmarks.summary --keep -->\n", "<!-- end of what is made -->\n"


@dataclass(frozen=True)
class Measured:
    """The figures of one machine. load: of the system before; figures: each with its command."""

    kind: str
    machine: str
    torch: str
    s2sw: str
    date: str
    load: float
    figures: list[tuple[Figure, str]]


def table(measured: Measured) -> str:
    """Return claim, figure, bar and ratio as a table in Markdown."""
    lines = ["| claim | figure | bar | ratio | command |", "|---|---|---|---|---|"]
    lines += [_line(figure, command) for figure, command in measured.figures]
    return "\n".join(lines)


def _line(figure: Figure, command: str) -> str:
    side = "at least" if figure.at_least else "at most"
    bar = "" if figure.bar is None else f"{side} {_told(figure.bar)}"
    ratio = figure.ratio
    reached = "" if ratio is None else f"{ratio:.2f}" if ratio >= 1 else f"**{ratio:.2f}**"
    return f"| {figure.claim} | {_told(figure.value)} {figure.unit} | {bar} | {reached} | `{command}` |"


def _told(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def read_measured() -> list[Measured]:
    """Return what was measured on each kind of processor."""
    found = []
    for path in sorted(MEASURED.glob("*.json")):
        values = json.loads(path.read_text())
        figures = [(Figure(**figure), command) for figure, command in values.pop("figures")]
        found.append(Measured(**values, figures=figures))
    return found


def section() -> str:
    """Return the part of the page, a table a kind of processor."""
    parts = []
    for one in read_measured():
        parts.append(f"### {one.kind}")
        versions = f"torch {one.torch}; s2sw {one.s2sw}"
        parts.append(f"{one.machine}; {versions}; {one.date}; load before the start {one.load}.")
        parts.append(table(one))
    return "\n\n".join(parts) + "\n"


def refresh() -> None:
    """Write the section into the page, between its marks."""
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(before + BEGIN + section() + END + after)
