"""Learning curves as CSV: a row an epoch."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from s2sw.schemas.whole_files import BY_UMASK, write_whole


def write_curve(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write the losses of all epochs so far, with the columns of the first row, in one step."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode(), BY_UMASK)
