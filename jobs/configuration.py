"""From a YAML file and command-line options to a checked configuration."""

import re
import reprlib
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from s2sw.schemas.config import ResultsConfig, ScreenConfig
from s2sw.schemas.errors import UserError
from s2sw.schemas.marks import expand_places

YAML_SUFFIXES = (".yaml", ".yml")
STDIN = Path("-")
"""In place of a job file: it is read from standard input."""

LONGEST = 1 << 20
"""Characters of a file at most."""
TOLD = 20
"""Problems of a file that one line tells of."""
SHOWN = 400
"""Of what a file says, characters in an error."""
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = SHOWN

Config = TypeVar("Config", bound=ResultsConfig)


class ConfigurationError(UserError):
    """The configuration cannot work; the message names the key."""


class _Loader(yaml.SafeLoader):
    """Reads YAML as people write it: a key stands once, and 22:30 is a time of day, no number to base 60."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[object] = set()
    for one, _ in node.value:
        key = loader.construct_object(one, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key is no text", one.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{key}' occurs twice", node.start_mark
            )
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:int"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|0o[0-7_]+)$"),
    list("-+0123456789"),
)


def is_configuration(argument: str) -> bool:
    """Tell whether the SOURCE argument is a configuration file instead."""
    return argument == str(STDIN) or argument.lower().endswith(YAML_SUFFIXES)


def build_config(file: Path | None, options: dict[str, Any]) -> ScreenConfig:
    """Return the configuration: the file's keys, overridden by options that were given.

    options: dotted keys (``storage.endpoint_url``); None means not given. Paths in the file may use ``~`` and
    ``$VARIABLES``; relative ones start at its folder. Raises ConfigurationError.
    """
    return _checked(ScreenConfig, _merged(file, options), file)


def portable_config(file: Path) -> str:
    """Return a checked job file as YAML that means the same on any machine, without its comments.

    Raises ConfigurationError, also for paths that each machine reads in its own way.
    """
    values = _read_yaml(file)
    whole = _from_file(file, values)
    if moved := _differing(values, whole):
        raise ConfigurationError(
            f"{file}: '{moved}': means another place on another machine; give the whole path, without ~ and "
            "$VARIABLES"
        )
    _checked(ScreenConfig, whole, file)
    return str(yaml.safe_dump(values, allow_unicode=True))


def _differing(values: dict[str, Any], expanded: dict[str, Any]) -> str | None:
    """Return the first key, dotted, whose path is written otherwise than it is meant."""
    for key, value in values.items():
        if isinstance(value, dict):
            if inner := _differing(value, expanded[key]):
                return f"{key}.{inner}"
        elif value != expanded[key]:
            return str(key)
    return None


def build_results_config(file: Path | None, options: dict[str, Any]) -> ResultsConfig:
    """Return what commands that read results need of a job file or of options; as ``build_config``.

    The whole file is checked, as if it were to be screened by.
    """
    if file is None:
        return _checked(ResultsConfig, _merged(None, options), None)
    whole = build_config(file, options)
    return ResultsConfig(
        source=whole.source or None, output=whole.output, private_dir=whole.private_dir, storage=whole.storage
    )


def _merged(file: Path | None, options: dict[str, Any]) -> dict[str, Any]:
    values = _from_file(file, _read_yaml(file)) if file else {}
    for key, value in options.items():
        if value is not None:
            _set(values, key.split("."), value, str(file))
    return values


def _from_file(file: Path, values: dict[str, Any]) -> dict[str, Any]:
    try:
        return expand_places(values, ScreenConfig, file.absolute().parent)
    except ValueError as error:
        raise ConfigurationError(f"{file}: {error}") from None


def _checked(model: type[Config], values: dict[str, Any], file: Path | None) -> Config:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        where = f"{file}: " if file else ""
        problems = error.errors()
        more = f"; and {len(problems) - TOLD} more" if len(problems) > TOLD else ""
        raise ConfigurationError(where + "; ".join(map(_describe, problems[:TOLD])) + more) from None


def read_flags(file: Path) -> Any:
    """Return the key ``flag`` of a file that ``s2sw threshold`` wrote. Raises ConfigurationError."""
    values = _read_yaml(file)
    if set(values) != {"flag"}:
        raise ConfigurationError(f"{file}: only the key 'flag' is expected, as `s2sw threshold` writes it")
    return values["flag"]


def _text_of(file: Path) -> str:
    """Return what a file says, or standard input: no more than shows that it is too long."""
    if file == STDIN:
        return sys.stdin.buffer.read(4 * LONGEST).decode("utf-8")
    with file.open(encoding="utf-8") as opened:
        return opened.read(LONGEST + 1)


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        text = _text_of(file)
        if len(text) > LONGEST:
            raise ConfigurationError(f"{file}: is longer than {LONGEST >> 10} KiB; a job file is short")
        values = yaml.load(text, _Loader)  # noqa: S506 (a safe loader)
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    except ConfigurationError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # the latter of dates and numbers that there are not
        said = " ".join(str(error).split())[:SHOWN]
        raise ConfigurationError(f"{file}: not valid YAML ({said})") from None
    except RecursionError:
        raise ConfigurationError(f"{file}: keys lie too deep in each other") from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"{file}: keys and values are expected, such as 'source: /archive'")
    return values


def _set(values: dict[str, Any], path: list[str], value: object, file: str) -> None:
    for key in path[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise ConfigurationError(f"{file}: {key} must hold keys and values")
    values[path[-1]] = value


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'; known there: {', '.join(_fields(problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        if not key:
            return "empty"
        *path, name = problem["loc"]
        return f"'{key}' is missing: {_fields(path)[name].description}"
    return f"'{key}': {problem['msg'].removeprefix('Value error, ')} (got {_shown(problem['input'])})"


def _shown(value: object) -> str:
    """Return the start of a value: aliases of YAML can make one that has no end."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # a number of thousands of digits
        return "a very long number"


def _fields(path: Sequence[Any]) -> dict[str, Any]:
    """Return the fields of the section at a path of keys."""
    model: Any = ScreenConfig
    for key in path:
        # of an entry of a list the type of all its entries
        model = get_args(model)[0] if isinstance(key, int) else model.model_fields[key].annotation
    return dict(model.model_fields)
