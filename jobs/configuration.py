"""From a YAML file and command-line options to a checked configuration."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from schemas.config import ScreenConfig

YAML_SUFFIXES = (".yaml", ".yml")


class ConfigurationError(ValueError):
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
        return f"unknown key '{key}'; known there: {', '.join(_known(problem['loc'][:-1]))}"
    if problem["type"] == "missing":
        return f"'{key}' is missing: {ScreenConfig.model_fields[key].description}" if key else "empty"
    return f"'{key}': {problem['msg'].removeprefix('Value error, ')} (got {problem['input']!r})"


def _known(path: tuple[Any, ...]) -> list[str]:
    model: Any = ScreenConfig
    for key in path:
        model = model.model_fields[key].annotation
    return list(model.model_fields)
