"""Figures with their bars: what a benchmark leaves for ``benchmarks.summary`` beside what it prints."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "S2SW_FIGURES"
"""Environment variable: the file to which figures are appended, a line of JSON each."""


@dataclass(frozen=True)
class Figure:
    """A measured value of a claim.

    bar: what is aimed at, None where there is no goal; at_least: whether more is better.
    """

    claim: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = True

    @property
    def ratio(self) -> float | None:
        """How far the bar is reached: 1 or more is reached."""
        if self.bar is None:
            return None
        over, under = (self.value, self.bar) if self.at_least else (self.bar, self.value)
        return over / under if under else float("inf")


def note(
    claim: str, value: float, unit: str = "x", *, at_least: float | None = None, at_most: float | None = None
) -> None:
    """Leave a figure, if a summary asked for it."""
    if place := os.environ.get(FILE):
        bar = at_most if at_least is None else at_least
        figure = Figure(claim, float(value), unit, bar, at_most is None)
        with Path(place).open("a") as file:
            file.write(json.dumps(asdict(figure)) + "\n")


def noted(place: Path) -> list[Figure]:
    """Return the figures of a file, in their order."""
    return [Figure(**json.loads(line)) for line in place.read_text().splitlines()] if place.exists() else []
