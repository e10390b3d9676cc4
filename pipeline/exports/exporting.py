"""An export as a whole: which rows, what it reveals, where it goes, and what could not be read."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.pipeline.exports.cases import Selection, cases
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.options import Format, Options
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.exports.revealing import Reveal, revealed
from s2sw.pipeline.exports.series_numbers import SeriesNumbers
from s2sw.pipeline.ledger.run_records import known_runs, read_run
from s2sw.pipeline.results.mode import check_seals, results_are_private
from s2sw.pipeline.results.opening import chosen_fingerprint
from s2sw.pipeline.results.reading import Results
from s2sw.pipeline.results.sources import Sources
from s2sw.pipeline.results.sql_views import EVERY
from s2sw.schemas.run_record import RunRecord


@dataclass(frozen=True)
class Choice:
    """What a user asks for. top: None for all; threshold: of the masks, None for the stored ones.

    fingerprint: first digits of that of the settings, None for the newest run's.
    byte_order_mark: of text tables.
    """

    top: int | None = 100
    min_score: float = 0.0
    flagged: bool = False
    threshold: float | None = None
    asked: frozenset[Reveal] = frozenset()
    fingerprint: str | None = None
    byte_order_mark: bool = False


@dataclass(frozen=True)
class Exported:
    """What came of it: findings written, those without a picture by reason, why none was looked for.

    partly: how many of those written are not whole, by reason (``reading.PARTLY``).
    """

    written: int
    skipped: Counter[str]
    partly: Counter[str]
    no_source: str | None


class Export:
    """An export that can start. ``reveals`` is what it will hold beyond results, to be said beforehand."""

    def __init__(
        self, output: OutputFolder, name: str, format_: Format, choice: Choice, key: bytes | None = None
    ) -> None:
        """Raise RevealError for what was not asked for, ReportError where there is nothing to export.

        key: the id key. Raises UnverifiedError where private results would be revealed and the seals of their
        audit log do not fit, or cannot be checked without it.
        """
        known_runs(output)
        self._connection = Results(output, EVERY).connect()
        self.private = results_are_private(output, self._connection)
        self.reveals = revealed(name, format_.revealing, choice.asked, self.private)
        if self.private and self.reveals:
            check_seals(output, key)
        self._output = output
        self._format = format_
        self._choice = choice
        fingerprint = chosen_fingerprint(self._connection, output, choice.fingerprint)
        self._fingerprint = fingerprint
        record = _record_of(output, fingerprint)
        bundle = record.summary.bundle if record else {}
        self._options = Options(
            self.reveals,
            fingerprint,
            f"{bundle['detector']}, prompts: {bundle['prompts']}" if bundle else "unknown",
            bool(bundle.get("trained")),
            choice.threshold,
            choice.byte_order_mark,
            SeriesNumbers(self._connection, fingerprint).of,
        )

    def run(self, folder: Path, sources: Sources) -> Exported:
        """Write the files into a folder. Raises OSError where that fails."""
        sources.private = self.private
        reader = Reader(sources)
        choice = self._choice
        selection = Selection(self._fingerprint, choice.top, choice.min_score, choice.flagged)
        chosen = cases(
            self._connection, selection, choice.threshold, reader.skipped, addresses=not self.private
        )
        named = reader.ahead(chosen, Reveal.NAMES in self.reveals)
        written = self._format.write(named, reader, Folder(folder), self._options)
        return Exported(written, reader.skipped, reader.partly, reader.no_source)


def _record_of(output: OutputFolder, fingerprint: str) -> RunRecord | None:
    """Return the file of the newest run with these settings; None if all of them were killed."""
    for run_id in reversed(known_runs(output)):
        record = read_run(output, run_id)
        if record.summary.fingerprint == fingerprint:
            return record
    return None
