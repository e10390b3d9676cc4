"""The halves of NIfTI pairs (.hdr and .img)."""

from s2sw.connectors.nifti.pairs import header_name, samples_name
from s2sw.connectors.storage.objects import read_object, stat_object
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import TRANSIENT_REASONS, Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings


def read_companion(stored: StoredObject, storage: StorageSettings, settings: DecodeSettings) -> bytes | None:
    """Return the samples of a NIfTI pair if the object is a header and its samples lie beside it."""
    name = samples_name(stored.uri)
    if name is None or stored.member:
        return None
    try:
        return read_object(stat_object(name, storage), storage, settings.limits.object_bytes)
    except ScreeningError as error:
        if error.reason is Reason.NOT_FOUND:
            return None
        raise


def is_second_half(stored: StoredObject, storage: StorageSettings) -> bool:
    """Tell whether the object is the samples of a NIfTI pair: screened with its header, no picture alone."""
    name = header_name(stored.uri)
    if name is None or stored.member:
        return False
    try:
        stat_object(name, storage)
    except ScreeningError as error:
        if error.reason in TRANSIENT_REASONS:
            raise
        return False
    return True
