"""Reading sources for an export. One that cannot be read is counted with its reason; the next one follows."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from itertools import islice
from typing import TypeVar

import numpy as np
import pydicom
from numpy.typing import NDArray

from s2sw.connectors.decode import first_plane
from s2sw.connectors.geometry import Geometry
from s2sw.connectors.guard import reason_for
from s2sw.connectors.nifti.header import VolumeHeader
from s2sw.connectors.nifti.volumes import header_of
from s2sw.connectors.slices import Slice
from s2sw.pipeline.exports.cases import Case, Finding
from s2sw.pipeline.results.checking import BAD_ROW, BadRowError
from s2sw.pipeline.results.sources import NoSourceError, ObjectRef, Sources, read_payload
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

T = TypeVar("T")

NO_SOURCE = "no_source"
NO_PLACE = "no_place"
PARTLY = {
    NO_PLACE: (
        "have a report but no segmentation (no_place): their files lack a frame of reference, position, "
        "orientation, pixel spacing or slice thickness; the formats coco, png and dicom-heat show their masks"
    )
}
"""What to say of findings of which not everything could be written, by the reason."""
CASES_AT_ONCE = 64  # whose addresses are looked up together


class Reader:
    """Reads pixels and DICOM objects of cases on demand. skipped: findings left out, by reason.

    partly: those of which not everything could be written, by reason (``PARTLY``).
    no_source: why an object could not even be looked for, if that happened.
    """

    def __init__(self, sources: Sources) -> None:
        self.skipped: Counter[str] = Counter()
        self.partly: Counter[str] = Counter()
        self.no_source: str | None = None
        self._sources = sources
        self._coming: list[ObjectRef] = []

    def ahead(self, cases: Iterator[Case], named: bool) -> Iterator[Case]:
        """Pass cases on; where they lie is looked up for a group at once, when the first of it is read.

        named: now, and cases of private results get their addresses, where the crosswalk has them.
        """
        while group := list(islice(cases, CASES_AT_ONCE)):
            self._coming = [case.wanted for case in group]
            for case in group:
                yield self._named(case) if named and case.uri is None else case

    def _named(self, case: Case) -> Case:
        self._look_up()
        try:
            return replace(case, uri=self._sources.locate(case.wanted).address)
        except NoSourceError as error:
            self.no_source = str(error)
            return case

    def pictures(self, case: Case) -> Iterator[tuple[Finding, NDArray[np.uint8]]]:
        """Yield the findings whose pixels can be read, and these: uint8 (rows, cols) or (rows, cols, 3)."""
        yield from ((finding, picture.pixels) for finding, picture in self.slices(case))

    def slices(self, case: Case, originals: bool = False) -> Iterator[tuple[Finding, Slice]]:
        """Yield the findings whose slices can be read, and these. originals: as of ``decode``."""
        waiting = {finding.row["slice_index"]: finding for finding in case.findings}
        with self.counting(waiting):
            self._look_up()
            for index, picture in enumerate(self._sources.slices(case.wanted, originals)):
                finding = waiting.get(index)
                if finding is not None:
                    if picture.pixels.shape[:2] != (finding.row["rows"], finding.row["cols"]):
                        raise ScreeningError(Reason.CHANGED)
                    yield finding, picture
                    del waiting[index]
                if not waiting:
                    return
            raise ScreeningError(Reason.TRUNCATED)

    def made(self, case: Case, make: Callable[[Finding, Slice], T]) -> Iterator[T]:
        """Yield what ``make`` makes of each finding and its slice; one for which it fails is counted."""
        for finding, picture in self.slices(case):
            made: list[T] = []
            with self.counting([finding]):
                made.append(make(finding, picture))
            yield from made

    def dicom(self, case: Case) -> pydicom.Dataset | None:
        """Return the whole DICOM object; None, counted, where it cannot be read or is none."""
        with self.counting(case.findings):
            if case.decoder != "dicom":
                raise ScreeningError(Reason.UNSUPPORTED)
            return pydicom.dcmread(BytesIO(self._payload(case)[0]), force=True)
        return None

    def first_plane(self, case: Case) -> Geometry:
        """Return where the first picture of a DICOM object lies, from its header."""
        return first_plane(*self._payload(case))

    def nifti(self, case: Case) -> VolumeHeader | None:
        """Return the header of a NIfTI object; None, counted, where it cannot be read or is none."""
        with self.counting(case.findings):
            if case.decoder not in ("nifti", "nifti_pair"):
                raise ScreeningError(Reason.UNSUPPORTED)
            return header_of(*self._payload(case))
        return None

    def _payload(self, case: Case) -> tuple[bytes, DecodeSettings]:
        self._look_up()
        stored = self._sources.locate(case.wanted)
        settings = self._sources.decode_settings(case.wanted.run_id)
        return read_payload(stored, self._sources.storage, settings).data, settings

    def _look_up(self) -> None:
        if self._coming:
            self._sources.find(self._coming)
            self._coming = []

    @contextmanager
    def counting(self, findings: list[Finding] | dict[int, Finding]) -> Iterator[None]:
        """Count these findings as skipped if the block fails, for whatever reason a source gives it."""
        try:
            yield
        except NoSourceError as error:
            self.no_source = str(error)
            self.skipped[NO_SOURCE] += len(findings)
        except BadRowError:
            self.skipped[BAD_ROW] += len(findings)
        # everything: decoders and highdicom raise anything on odd sources, and one must not end the export
        except Exception as error:  # noqa: BLE001
            self.skipped[reason_for(error)] += len(findings)
