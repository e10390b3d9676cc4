"""From the bytes of an object to its slices: detect the format, check the header, then decode."""

from collections.abc import Callable, Iterator

from s2sw.connectors.geometry import Geometry
from s2sw.connectors.guard import guarded
from s2sw.connectors.images.raster import FORMATS, decode_raster
from s2sw.connectors.preflight.foreign import foreign_name
from s2sw.connectors.preflight.formats import CONTAINERS, HEAD_BYTES, Format, sniff, unwrapped
from s2sw.connectors.preflight.inflate import inflate
from s2sw.connectors.preflight.limits import check_object
from s2sw.connectors.slices import Slice
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError

__all__ = ["Format", "decode", "first_plane", "sniff"]

Decoder = Callable[[bytes, DecodeSettings, int | None, bool], Iterator[Slice]]


def decode(
    data: bytes,
    settings: DecodeSettings,
    *,
    target: int | None = None,
    companion: bytes | None = None,
    originals: bool = False,
) -> tuple[str, Iterator[Slice]]:
    """Return the decoder's name (``png``, ``dicom``, ``nifti``, ...) and the slices of one object, lazily.

    Slices are decoded one at a time, so damage in a later slice raises only when that slice is reached.
    ``target``: the side that slices will be resized to; a JPEG is then decoded at 1/2, 1/4 or 1/8 of its
    size, as long as both sides stay at least ``2 * target``. None decodes at full size.
    ``companion``: the bytes of the ``.img`` half if ``data`` is the ``.hdr`` half of a NIfTI pair
    (``pairs.samples_name`` gives its name); without it a pair is refused as UNSUPPORTED.
    ``originals``: also return the values that slices of DICOM and NIfTI were made from (``Slice.original``).
    Raises only ScreeningError, at once or from the iterator. A container (``CONTAINERS``) is refused as
    UNSUPPORTED, because each of its members is an object of its own (``archives.members``).
    """
    check_object(data, settings.limits)
    form = sniff(data)
    inner = unwrapped(data) if form is Format.GZIP else form
    if inner is Format.NIFTI_PAIR and companion is not None:
        from s2sw.connectors.nifti.decoder import decode_nifti_pair  # as in _decoder

        return inner.value, guarded(decode_nifti_pair(data, companion, settings, originals))
    if form is Format.GZIP:
        if inner is Format.NIFTI:
            from s2sw.connectors.nifti.decoder import decode_nifti_gz  # as in _decoder

            return Format.NIFTI.value, guarded(decode_nifti_gz(data, settings, originals))
        if inner in CONTAINERS or inner is Format.GZIP:
            raise ScreeningError(Reason.UNSUPPORTED, f"gzip around {inner}: read its members")
        if inner is Format.UNKNOWN or inner is Format.FOREIGN:
            raise _refusal(inner, data)
        _decoder(inner, data)  # imports it; which one decodes is asked again of what is unpacked
        return inner.value, guarded(_gunzipped(data, settings, target, originals))
    return form.value, guarded(_decoder(form, data)(data, settings, target, originals))


def first_plane(data: bytes, settings: DecodeSettings) -> Geometry:
    """Return where the first frame of a DICOM object lies, from its header alone. Raises ScreeningError."""
    check_object(data, settings.limits)
    plain = inflate(data, settings.limits) if sniff(data) is Format.GZIP else data
    if sniff(plain) is not Format.DICOM:
        raise ScreeningError(Reason.UNSUPPORTED, "only DICOM objects lie in a series")
    from s2sw.connectors.dicom.plane import first_plane as header_plane  # as in _decoder

    return header_plane(plain, settings.limits)


def _gunzipped(data: bytes, settings: DecodeSettings, target: int | None, originals: bool) -> Iterator[Slice]:
    plain = inflate(data, settings.limits)
    yield from _decoder(sniff(plain), plain)(plain, settings, target, originals)


def _decoder(form: Format, data: bytes) -> Decoder:
    """Return what decodes a format. Raises ScreeningError for one that nothing here decodes.

    pydicom and nibabel are imported only where there is something for them: half of what a process that
    decodes pictures took to start. Here, and not in the decoders, since a slice's time must not run yet.
    """
    if form in FORMATS:
        return lambda data, settings, target, _: decode_raster(data, form, settings, target)
    if form is Format.DICOM:
        from s2sw.connectors.dicom.decoder import decode_dicom

        return lambda data, settings, _, originals: decode_dicom(data, settings, originals)
    if form is Format.NIFTI:
        from s2sw.connectors.nifti.decoder import decode_nifti

        return lambda data, settings, _, originals: decode_nifti(data, settings, originals)
    raise _refusal(form, data)


def _refusal(form: Format, data: bytes) -> ScreeningError:
    if form in CONTAINERS:
        return ScreeningError(Reason.UNSUPPORTED, f"{form} is a container: read its members")
    if form is Format.UNKNOWN:
        return ScreeningError(Reason.UNKNOWN_FORMAT)
    if form is Format.NIFTI_PAIR:
        return ScreeningError(Reason.UNSUPPORTED, "a NIfTI header without its samples (.img) beside it")
    name = foreign_name(data, data[:HEAD_BYTES]) or "what gzip holds"
    return ScreeningError(Reason.UNSUPPORTED, f"{name} is not read here")
