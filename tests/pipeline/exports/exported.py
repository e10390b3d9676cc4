"""Exports made within the test's process, and the rows of results that they must agree with."""

from pathlib import Path
from typing import Any

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.exports.exporting import Choice, Export, Exported
from s2sw.pipeline.exports.formats import FORMATS, page_format
from s2sw.pipeline.exports.names import FormatName
from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.results.reading import open_results
from s2sw.pipeline.results.sources import Sources
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import Row
from tests.support.screened import Screened


def export(screened: Screened, name: str, folder: Path, *asked: Reveal, **choice: Any) -> Exported:
    """Write an export of a format, or of the page if that is a file's name."""
    format_ = page_format(name) if name.endswith(".html") else FORMATS[FormatName(name)]
    wanted = Choice(asked=frozenset(asked), **choice)
    output = LocalOutput(screened.output)
    inside = Inside(screened.private)
    plan = Export(output, name, format_, wanted, inside.key())
    return plan.run(folder, Sources(output, inside, StorageSettings()))


def rows_of(screened: Screened) -> dict[tuple[str, int], Row]:
    """Return the rows of slices by object and slice."""
    rows = open_results(str(screened.output)).slices().to_pylist()
    return {(row["object_id"], row["slice_index"]): row for row in rows}
