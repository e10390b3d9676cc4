"""What each format is. A new one is one file, one name and one line here."""

import importlib
import importlib.util
import warnings
from collections.abc import Iterator

from s2sw.pipeline.exports import coco, csv_table, fiftyone, html_page, label_studio, nifti, png
from s2sw.pipeline.exports.cases import Case
from s2sw.pipeline.exports.folder import Folder
from s2sw.pipeline.exports.names import FormatName
from s2sw.pipeline.exports.options import Format, Options, Write
from s2sw.pipeline.exports.reading import Reader
from s2sw.pipeline.exports.revealing import Reveal, Revealing

_NAMES = frozenset({Reveal.NAMES})
_PICTURES = Revealing(frozenset({Reveal.PIXELS}), _NAMES)


def _dicom(module: str) -> Write:
    """Return the writer of a module that needs highdicom, an extra; it is loaded when it is used."""

    def write(cases: Iterator[Case], reader: Reader, folder: Folder, options: Options) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of pydicom and highdicom quote headers: names of patients
            written: int = importlib.import_module(module).write(cases, reader, folder, options)
        return written

    return write


FORMATS: dict[FormatName, Format] = {
    FormatName.COCO: Format(Revealing(on_request=frozenset({Reveal.PIXELS, Reveal.NAMES})), coco.write),
    FormatName.PNG: Format(_PICTURES, png.write),
    FormatName.CSV: Format(Revealing(on_request=_NAMES), csv_table.write),
    FormatName.DICOM_SEG: Format(
        Revealing(frozenset({Reveal.PATIENT})), _dicom("s2sw.pipeline.exports.dicom_seg"), needs="highdicom"
    ),
    FormatName.DICOM_HEAT: Format(
        Revealing(frozenset({Reveal.PATIENT, Reveal.PIXELS})),
        _dicom("s2sw.pipeline.exports.dicom_heat"),
        needs="highdicom",
    ),
    FormatName.FIFTYONE: Format(_PICTURES, fiftyone.write),
    FormatName.LABEL_STUDIO: Format(_PICTURES, label_studio.write),
    FormatName.NIFTI: Format(Revealing(), nifti.write),
}


def page_format(file: str) -> Format:
    """Return the format of the static page, written as a file of this name."""
    return Format(_PICTURES, html_page.page_writer(file))


def lacking(format_: Format) -> str | None:
    """Return the name of a package that the format needs and that is not installed."""
    return format_.needs if format_.needs and importlib.util.find_spec(format_.needs) is None else None
