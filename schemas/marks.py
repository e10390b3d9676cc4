"""Marks of text settings: an address, which must stay private, or text that may be shown.

Text counts as an address unless its field says otherwise, so that a new field cannot leak by default.
"""

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel


@dataclass(frozen=True)
class Shown:
    """Mark of a text field that a private run's record may hold: an alias, a code, a time of day."""


@dataclass(frozen=True)
class Place:
    """Mark of a text field that names a file or folder.

    remote: it may also be an ``s3://`` address. words: values that name no file.
    """

    remote: bool = False
    words: frozenset[str] = frozenset()


_VARIABLE = re.compile(r"\$(?:[A-Za-z_]\w*|\{\w+\})")

ShownText = Annotated[str, Shown()]
LocalPath = Annotated[str, Place()]
Address = Annotated[str, Place(remote=True)]


def without_addresses(settings: BaseModel) -> dict[str, Any]:
    """Return the settings as JSON values; text that is not marked as shown becomes null.

    A mapping from addresses to shown text becomes a list of the text.
    """
    return {
        name: _blanked(getattr(settings, name), field.annotation, field.metadata)
        for name, field in type(settings).model_fields.items()
    }


def expand_places(values: dict[str, Any], model: type[BaseModel], folder: Path) -> dict[str, Any]:
    """Return the keys of a file with their paths expanded.

    ``~`` and ``$VARIABLES`` are replaced in every path and address; relative paths start at the folder.
    Raises ValueError for a variable that is not set, naming the key.
    """
    found = dict(values)
    for name, field in model.model_fields.items():
        value = found.get(name)
        section = _section(field.annotation)
        place = _mark(field.annotation, field.metadata, Place)
        if section is not None and isinstance(value, dict):
            found[name] = expand_places(value, section, folder)
        elif place is not None and isinstance(value, str) and value:
            found[name] = _expanded(name, value, folder, place)
    return found


def _expanded(key: str, text: str, folder: Path, place: Place) -> str:
    text = os.path.expandvars(text)
    if unset := _VARIABLE.search(text):
        raise ValueError(f"'{key}': the environment variable {unset[0]} is not set")
    if text in place.words or (place.remote and "://" in text):
        return text
    path = Path(text).expanduser()
    return str(path if path.is_absolute() else folder / path)


def _blanked(value: Any, annotation: Any, metadata: list[Any]) -> Any:
    if isinstance(value, BaseModel):
        return without_addresses(value)
    if isinstance(value, tuple):
        return [_blanked(one, (get_args(annotation) or (Any,))[0], metadata) for one in value]
    if isinstance(value, dict):
        words = get_args(annotation)[-1:]
        return [_blanked(word, words[0] if words else Any, []) for word in value.values()]
    if isinstance(value, str) and not isinstance(value, Enum):
        closed = any(get_origin(part) is Literal for part in _parts(annotation))
        return value if closed or _mark(annotation, metadata, Shown) else None
    return value.value if isinstance(value, Enum) else value


def _mark(annotation: Any, metadata: list[Any], kind: type) -> Any:
    marks = [*metadata, *(mark for part in _parts(annotation) for mark in getattr(part, "__metadata__", ()))]
    return next((mark for mark in marks if isinstance(mark, kind)), None)


def _section(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _parts(annotation: Any) -> tuple[Any, ...]:
    """Return an annotation and, of a union, what it is a union of."""
    return (annotation, *get_args(annotation)) if get_origin(annotation) is not Annotated else (annotation,)
