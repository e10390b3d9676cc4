"""From a YAML file and command-line options to a checked configuration."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from s2sw.schemas.config import ScreenConfig
from s2sw.schemas.errors import UserError

YAML_SUFFIXES = (".yaml", ".yml")


class ConfigurationError(UserError):
    """The configuration cannot work; the message names the key."""


def is_configuration(argument: str) -> bool:
    """Tell whether the SOURCE argument is a configuration file instead."""
    return argument.lower().endswith(YAML_SUFFIXES)


def build_config(file: Path | None, options: dict[str, Any]) -> ScreenConfig:
    """Return the configuration: the file's keys, overridden by options that were given.

    options: dotted keys (``storage.endpoint_url``); None means not given. Raises ConfigurationError.
    """
    values = _read_yaml(file) if file else {}
    for key, value in options.items():
        if value is not None:
            _set(values, key.split("."), value, str(file))
    try:
        return ScreenConfig.model_validate(values)
    except ValidationError as error:
        where = f"{file}: " if file else ""
        raise ConfigurationError(
            where + "; ".join(_describe(problem) for problem in error.errors())
        ) from None


def read_flags(file: Path) -> Any:
    """Return the key ``flag`` of a file that ``s2sw threshold`` wrote. Raises ConfigurationError."""
    values = _read_yaml(file)
    if set(values) != {"flag"}:
        raise ConfigurationError(f"{file}: the one key 'flag' is expected, as `s2sw threshold` writes it")
    return values["flag"]


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text())
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise ConfigurationError(f"{file}: not valid YAML ({text})") from None
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
    return f"'{key}': {problem['msg'].removeprefix('Value error, ')} (got {problem['input']!r})"


def _fields(path: Sequence[Any]) -> dict[str, Any]:
    """Return the fields of the section at a path of keys."""
    model: Any = ScreenConfig
    for key in path:
        # of an entry of a list the type of all its entries
        model = get_args(model)[0] if isinstance(key, int) else model.model_fields[key].annotation
    return dict(model.model_fields)
