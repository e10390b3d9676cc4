"""Which DICOM objects carry a photograph, by SOP class and transfer syntax (PS3.4 annex B, PS3.6 annex A)."""

from pydicom._uid_dict import UID_dictionary
from pydicom.uid import UID

from s2sw.connectors.dicom.codecs import COMPRESSED_SYNTAXES, PLAIN_SYNTAXES
from s2sw.schemas.outcomes import Reason, ScreeningError

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_DERIVED = frozenset(_STORAGE + tail for tail in (
    "30",  # parametric map
    "66.4", "66.7",  # segmentation, label map segmentation
    "66.5",  # surface segmentation
    "81.1", "82.1",  # ophthalmic thickness map, corneal topography map
    "481.2",  # RT dose
))  # fmt: skip
_IMAGES_BY_ANOTHER_NAME = frozenset(_STORAGE + tail for tail in (
    "6.2",  # enhanced US volume
    "501.4", "501.5",  # DICOS advanced imaging technology
))  # fmt: skip
_VIDEO = "1.2.840.10008.1.2.4.10"  # .100 to .108: MPEG-2, H.264, H.265
_ST2110 = "1.2.840.10008.1.2.7."


def is_image_class(sop_class: str) -> bool:
    """Tell whether a SOP class stores an image, as far as the registry of PS3.6 knows it."""
    if sop_class in _DERIVED or sop_class in _IMAGES_BY_ANOTHER_NAME:
        return True
    return "Image Storage" in UID(sop_class).name if sop_class in UID_dictionary else False


def check_class(sop_class: str, derived_wanted: bool) -> None:
    """Refuse objects that are no photograph by their class. Raises NOT_AN_IMAGE, DERIVED_LABELS.

    Private and unknown classes may be images.
    """
    if sop_class in _DERIVED and not derived_wanted:
        raise ScreeningError(Reason.DERIVED_LABELS)
    if sop_class in UID_dictionary and not is_image_class(sop_class):
        raise ScreeningError(Reason.NOT_AN_IMAGE)


def check_pixels(sop_class: str, has_pixels: bool, truncated: bool) -> None:
    """Refuse objects without pixels. Raises TRUNCATED (cut before them), NO_PIXEL_DATA, NOT_AN_IMAGE.

    An object of an image class that ends behind an element has none: a query's answer, a header kept alone.
    """
    if has_pixels:
        return
    if truncated:
        raise ScreeningError(Reason.TRUNCATED, "the file ends before its pixel data")
    raise ScreeningError(Reason.NO_PIXEL_DATA if is_image_class(sop_class) else Reason.NOT_AN_IMAGE)


def check_syntax(transfer_syntax: str) -> None:
    """Refuse video, pixels that lie elsewhere (JPIP) and syntaxes without a decoder. Raises UNSUPPORTED.

    An object without a transfer syntax counts as plain samples.
    """
    if transfer_syntax.startswith((_VIDEO, _ST2110)):
        raise ScreeningError(Reason.UNSUPPORTED, "video")
    if transfer_syntax and transfer_syntax not in PLAIN_SYNTAXES | COMPRESSED_SYNTAXES:
        name = UID(transfer_syntax).name if transfer_syntax in UID_dictionary else "unknown"
        raise ScreeningError(Reason.UNSUPPORTED, f"transfer syntax {name}")
