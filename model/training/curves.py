"""Learning curves as CSV: a row an epoch."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path


def write_curve(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write the losses of all epochs so far, with the columns of the first row, in one step."""
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    with draft.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(path)
