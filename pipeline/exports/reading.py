"""Reading sources for an export. One that cannot be read is counted with its reason; the next one follows."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pydicom
from numpy.typing import NDArray

from connectors.guard import reason_for
from pipeline.exports.cases import Case, Finding
from pipeline.sources import NoSourceError, Sources, read_payload
from schemas.outcomes import Reason, ScreeningError
from schemas.storage import StorageSettings

NO_SOURCE = "no_source"


class Reader:
    """Reads pixels and DICOM objects of cases on demand. skipped: findings left out, by reason.

    no_source: why an object could not even be looked for, if that happened.
    """

    def __init__(self, sources: Sources, storage: StorageSettings) -> None:
        self.skipped: Counter[str] = Counter()
        self.no_source: str | None = None
        self._sources = sources
        self._storage = storage

    def pictures(self, case: Case) -> Iterator[tuple[Finding, NDArray[np.uint8]]]:
        """Yield the findings whose pixels can be read, and these: uint8 (rows, cols) or (rows, cols, 3)."""
        waiting = {finding.row["slice_index"]: finding for finding in case.findings}
        with self.counting(waiting):
            for index, picture in enumerate(self._sources.slices(case.wanted)):
                finding = waiting.get(index)
                if finding is not None:
                    if picture.pixels.shape[:2] != (finding.row["rows"], finding.row["cols"]):
                        raise ScreeningError(Reason.CHANGED)
                    yield finding, picture.pixels
                    del waiting[index]
                if not waiting:
                    return
            raise ScreeningError(Reason.TRUNCATED)

    def dicom(self, case: Case) -> pydicom.Dataset | None:
        """Return the whole DICOM object; None, counted, where it cannot be read or is none."""
        with self.counting(case.findings):
            if case.decoder != "dicom":
                raise ScreeningError(Reason.UNSUPPORTED)
            stored = self._sources.locate(case.wanted)
            settings = self._sources.decode_settings(case.wanted.run_id)
            data = read_payload(stored, self._storage, settings).data
            return pydicom.dcmread(BytesIO(data), force=True)
        return None

    @contextmanager
    def counting(self, findings: list[Finding] | dict[int, Finding]) -> Iterator[None]:
        """Count these findings as skipped if the block fails, for whatever reason a source gives it."""
        try:
            yield
        except NoSourceError as error:
            self.no_source = str(error)
            self.skipped[NO_SOURCE] += len(findings)
        # everything: decoders and highdicom raise anything on odd sources, and one must not end the export
        except Exception as error:  # noqa: BLE001
            self.skipped[reason_for(error)] += len(findings)
