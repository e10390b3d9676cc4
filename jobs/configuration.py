"""From a YAML file and command-line options to a checked configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from s2sw.schemas.config import ResultsConfig, ScreenConfig
from s2sw.schemas.errors import UserError
from s2sw.schemas.marks import expand_places
from s2sw.schemas.yaml_files import STDIN, YamlError, brief, read_yaml, told

YAML_SUFFIXES = (".yaml", ".yml")

Config = TypeVar("Config", bound=ResultsConfig)


class ConfigurationError(UserError):
    """The configuration cannot work; the message names the key."""


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
        raise ConfigurationError(where + told([_describe(one) for one in error.errors()])) from None


def read_flags(file: Path) -> Any:
    """Return the key ``flag`` of a file that ``s2sw threshold`` wrote. Raises ConfigurationError."""
    values = _read_yaml(file)
    if set(values) != {"flag"}:
        raise ConfigurationError(f"{file}: only the key 'flag' is expected, as `s2sw threshold` writes it")
    return values["flag"]


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        return read_yaml(file, "source: /archive")
    except YamlError as error:
        raise ConfigurationError(str(error)) from None


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
    return f"'{key}': {problem['msg'].removeprefix('Value error, ')} (got {brief(problem['input'])})"


def _fields(path: Sequence[Any]) -> dict[str, Any]:
    """Return the fields of the section at a path of keys."""
    model: Any = ScreenConfig
    for key in path:
        # of an entry of a list the type of all its entries
        model = get_args(model)[0] if isinstance(key, int) else model.model_fields[key].annotation
    return dict(model.model_fields)
