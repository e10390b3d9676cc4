"""Files of keys and values in YAML that a user writes, within bounds that none of them needs."""

import re
import reprlib
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from s2sw.schemas.errors import UserError

STDIN = Path("-")
"""In place of a file: standard input is read."""
LONGEST = 1 << 20
"""Characters of a file at most."""
SHOWN = 400
"""Of what a file says, characters in an error."""
TOLD = 20
"""Problems of a file that one line tells of."""
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = SHOWN


class YamlError(UserError):
    """A file cannot be used; the message names it, in one line."""


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


def read_yaml(file: Path, example: str) -> dict[str, Any]:
    """Return the keys and values of a file. example: what a line of it may look like. Raises YamlError."""
    try:
        text = _text_of(file)
        if len(text) > LONGEST:
            raise YamlError(f"{file}: is longer than {LONGEST >> 10} KiB")
        values = yaml.load(text, _Loader)  # noqa: S506 (a safe loader)
    except OSError as error:
        raise YamlError(f"{file}: {error.strerror}") from None
    except YamlError:
        raise
    except (yaml.YAMLError, ValueError) as error:  # the latter of dates and numbers that there are not
        said = " ".join(str(error).split())[:SHOWN]
        raise YamlError(f"{file}: not valid YAML ({said})") from None
    except RecursionError:
        raise YamlError(f"{file}: keys lie too deep in each other") from None
    if not isinstance(values, dict):
        raise YamlError(f"{file}: keys and values are expected, such as '{example}'")
    return values


def _text_of(file: Path) -> str:
    """Return what a file says, or standard input: no more than shows that it is too long."""
    if file == STDIN:
        return sys.stdin.buffer.read(4 * LONGEST).decode("utf-8")
    with file.open(encoding="utf-8") as opened:
        return opened.read(LONGEST + 1)


def told(problems: Sequence[str]) -> str:
    """Return the first problems of a file in one line, and how many more there are."""
    more = f"; and {len(problems) - TOLD} more" if len(problems) > TOLD else ""
    return "; ".join(problems[:TOLD]) + more


def brief(value: object) -> str:
    """Return the start of a value: aliases of YAML can make one that has no end."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # a number of thousands of digits
        return "a very long number"
