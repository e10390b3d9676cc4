"""The options that a detector is built with, declared once: for Python, the command line and the docs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from s2sw.model.errors import BundleError
from s2sw.model.prompts.learned import LearnedPrompts

LONGEST = 60
"""Characters of a wrong value that an error repeats."""


class BuildOptions(BaseModel):
    """What one detector is built from beside the CLIP and the input size.

    A field an option: its name, type, default, and a description that begins with what is to be given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


Options = TypeVar("Options", bound=BuildOptions)


@dataclass(frozen=True, slots=True)
class Flag:
    """How the command line spells an option that is no plain value: a flag's name and type.

    read: turns the flag's value into the option's; raises ValueError that says what is needed.
    """

    name: str
    type: Any
    read: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Marks an option that is pictures: the command line takes a folder, a prefix or a query.

    or_numbers: two numbers ``LOW,HIGH`` may stand in their place.
    """

    or_numbers: bool = False


def read_options(detector: str, kind: type[Options], given: Mapping[str, Any]) -> Options:
    """Return the options of a detector; None and empty values count as not given.

    Raises BundleError, one line that begins with the option's name.
    """
    try:
        return kind.model_validate({name: value for name, value in given.items() if not _is_empty(value)})
    except ValidationError as error:
        raise BundleError(_message(detector, kind, error)) from None


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | tuple | list) and not value)


def _message(detector: str, kind: type[BuildOptions], error: ValidationError) -> str:
    problem = error.errors()[0]
    name, found = str(problem["loc"][0]), " ".join(repr(problem["input"]).split())
    if problem["type"] == "missing":
        return f"{name}: {detector} needs {kind.model_fields[name].description}"
    if problem["type"] == "value_error":
        return f"{name}: {problem['ctx']['error']}"
    if problem["type"] == "literal_error":
        return f"{name}: {found} given; {problem['ctx']['expected']} is needed"
    return f"{name}: {found:.{LONGEST}} given; {problem['msg'].lower()}"


def _names(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not name.strip() or names.count(name) > 1:
            raise ValueError(f"{name!r} given; names must be text, and all different")
    return names


ClassNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_names),
    AfterValidator(_distinct),
    Field(
        description="the name of what the pictures show, such as `bottle`; one name for each kind of object"
    ),
]
ReferenceNames = Annotated[
    tuple[str, ...],
    BeforeValidator(_names),
    AfterValidator(_distinct),
    Field(description="with references: the kinds of objects, if each is to have its own memory"),
]
References = Annotated[
    Any,
    Pictures(),
    Field(
        description="a few normal pictures to compare with: a folder (if there are several class names, with "
        "a subfolder for each), or a query with a column `uri`, such as `SELECT uri FROM "
        "'results/objects/*.parquet' ORDER BY max_score LIMIT 4`"
    ),
]
Prompts = Annotated[
    str | Path | LearnedPrompts,
    Field(
        description="learned prompts, a `.pth` or `.safetensors` file; or `handwritten` prompts, which need "
        "no training"
    ),
]
FirstBlock = Annotated[
    int | None,
    Field(description="the first block with two streams, counted from 1; by default scaled to the depth"),
]
TapBlocks = Annotated[
    tuple[int, ...] | None,
    Field(description="the blocks whose outputs are used, counted from 1; by default scaled to the depth"),
]
