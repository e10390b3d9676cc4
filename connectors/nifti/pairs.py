"""NIfTI pairs: a header object (``.hdr``) and a samples object (``.img``) that only make sense together.

The header is the object that is screened. Its samples are fetched by name and handed to ``decode`` as
``companion``; listed by themselves they are no picture, having no header.
"""

_HEADER, _SAMPLES = ".hdr", ".img"
_GZIP = ".gz"


def samples_name(name: str) -> str | None:
    """Return the name of the samples that belong to a header's name, None if the name is no header's."""
    return _swapped(name, _HEADER, _SAMPLES)


def header_name(name: str) -> str | None:
    """Return the name of the header that belongs to a samples' name, None if the name is no samples'."""
    return _swapped(name, _SAMPLES, _HEADER)


def _swapped(name: str, old: str, new: str) -> str | None:
    stem, gzip = (name[: -len(_GZIP)], _GZIP) if name.lower().endswith(_GZIP) else (name, "")
    if not stem.lower().endswith(old):
        return None
    upper = stem[-len(old) :].isupper()
    return stem[: -len(old)] + (new.upper() if upper else new) + gzip
