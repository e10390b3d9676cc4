"""A CSV worklist: a line a finding, highest score first, for a spreadsheet."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Options
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.exports.revealing import Reveal

FILE = "worklist.csv"
COLUMNS = (
    "rank", "object_id", "slice_index", "n_slices", "rank_score", "image_score", "rarity_score", "group",
    "map_max", "area_fraction", "threshold",
    "modality", "body_part", "plane", "rows", "cols", "date", "site", "fingerprint", "run_id", "decision",
    "note",
)  # fmt: skip
"""decision and note are left empty for a person to fill in."""
_FORMULA = re.compile(r"(^|[;,|\t\r\n])(?=[\s\"']*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])")
"""Where a cell begins, whatever a spreadsheet takes for a separator, with what starts a formula."""
"""What makes spreadsheets take a cell for a formula (OWASP, CSV Injection)."""


def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
    """Write ``worklist.csv`` in UTF-8; with names revealed its last column is the address.

    With ``options.byte_order_mark`` it starts with one, by which Excel knows that it is UTF-8.
    """
    columns = [*COLUMNS, "address"] if Reveal.NAMES in options.reveals else [*COLUMNS]
    lines = []
    for case in cases:
        for finding in case.findings:
            with reader.counting([finding]):
                lines.append(_line(finding, case))
    lines.sort(key=lambda line: line["rank"])
    sink = io.StringIO(newline="")
    table = csv.DictWriter(sink, columns, restval="", extrasaction="ignore")
    table.writeheader()
    table.writerows({name: _harmless(value) for name, value in line.items()} for line in lines)
    start = codecs.BOM_UTF8 if options.byte_order_mark else b""
    folder.write(FILE, start + sink.getvalue().encode("utf-8", "surrogateescape"))
    return len(lines)


def _line(finding: Finding, case: Case) -> dict[str, Any]:
    kept = {name: finding.row[name] for name in COLUMNS if name in finding.row}
    mask = {} if finding.threshold is None else {"area_fraction": float(finding.mask().mean())}
    return {**kept, **mask, "rank": finding.rank, "threshold": finding.cut, "address": case.uri or ""}


def _harmless(value: object) -> object:
    """Return text that no spreadsheet runs: a quote before what would start a formula."""
    if isinstance(value, str):
        return _FORMULA.sub(r"\1'", value)
    return round(value, 6) if isinstance(value, float) else value
