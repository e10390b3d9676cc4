"""``s2sw bundle build FILE.yaml``: what the command line takes, in a file."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from s2sw.model.errors import BundleError
from s2sw.schemas.yaml_files import YamlError, read_yaml

SYSTEM, OUT = "detector", "out"


def arguments_of(file: Path, default: str, flags: Collection[str]) -> list[str]:
    """Return the arguments that a file stands for: the system, the new folder, and flags.

    The keys are ``detector`` (by default that system), ``out``, and the names of flags with underscores; a
    list gives a flag several times. Raises BundleError that names the file and the key.
    """
    values = _read(file)
    for key in values:
        if key not in {SYSTEM, OUT, *flags}:
            raise BundleError(f"{file}: unknown key {key!r}; known are {', '.join([SYSTEM, OUT, *flags])}")
    if OUT not in values:
        raise BundleError(f"{file}: {OUT!r} is missing: the new folder for the bundle")
    rest = [arg for key in values if key not in (SYSTEM, OUT) for arg in _flag(key, values[key])]
    return [str(values.get(SYSTEM, default)), str(values[OUT]), *rest]


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_yaml(file, "out: my-bundle")
    except YamlError as error:
        raise BundleError(str(error)) from None


def _flag(key: str, value: Any) -> Iterator[str]:
    """Yield one flag as it stands on the command line; a mapping gives NAME=TEXT pairs."""
    name = key.replace("_", "-")
    if isinstance(value, bool):
        yield f"--{name}" if value else f"--no-{name}"
        return
    pairs = [f"{left}={right}" for left, right in value.items()] if isinstance(value, dict) else value
    for one in pairs if isinstance(pairs, list) else [pairs]:
        yield from (f"--{name}", str(one))
