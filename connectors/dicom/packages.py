"""Which packages decode compressed DICOM objects, and whether they are there; without importing any."""

import importlib.util

MODULES = {
    "pylibjpeg-openjpeg": ("openjpeg", "JPEG 2000 and HTJ2K"),
    "pyjpegls": ("jpeg_ls", "JPEG-LS"),
    "imagecodecs": ("imagecodecs", "JPEG 12-bit, JPEG lossless and JPEG XL"),
}
"""Each package's module, and what it decodes (``codecs.CODECS``)."""


def missing_codecs() -> list[str]:
    """Return, for a message at start, what cannot be decoded: ``"JPEG-LS: pyjpegls"``."""
    return [
        f"{formats}: {package}"
        for package, (module, formats) in MODULES.items()
        if importlib.util.find_spec(module) is None
    ]
