"""The steps of a Containerfile, as far as ours uses that language; anything else in it is refused."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

STEPS = frozenset({"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "RUN", "USER", "WORKDIR"})
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Step:
    """An instruction and the words behind it, as they are written."""

    name: str
    words: str

    @property
    def exec_form(self) -> list[str]:
        """The words of ``["program", "argument"]``. Raises ValueError."""
        words: list[str] = json.loads(self.words)
        return words


@dataclass
class Stage:
    """What a stage begins with, a base image or a stage, and what it does then."""

    base: str
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class Copy:
    """Files or folders to copy to a place. stage: the one that has them; "": the context of the build."""

    stage: str
    sources: list[str]
    place: str


@dataclass(frozen=True)
class Containerfile:
    """arguments: those before the first stage, with their defaults. stages: by name, in order."""

    arguments: dict[str, str]
    stages: dict[str, Stage]


def parse(text: str) -> Containerfile:
    """Read a Containerfile. Raises ValueError for what is not known here."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for line in _lines(text):
        name, _, words = line.partition(" ")
        words = words.strip()
        if name == "FROM":
            found = re.fullmatch(r"(\S+) AS (\w[\w-]*)", words)
            if found is None or found[2] in stages:
                raise ValueError(f"a stage needs a name of its own: {line}")
            stage = stages[found[2]] = Stage(found[1])
        elif stage is None and name == "ARG":
            arguments |= dict([words.split("=", 1)])
        elif stage is None or name not in STEPS:
            raise ValueError(f"not known here: {line}")
        else:
            stage.steps.append(Step(name, words))
    return Containerfile(arguments, stages)


def assignments(words: str, known: Mapping[str, str]) -> dict[str, str]:
    """Return what ``NAME=value NAME=value`` sets; ``${NAME}`` stands for a value known before."""
    pairs = (word.split("=", 1) for word in shlex.split(words))
    return {name: expanded(value, known) for name, value in pairs}


def expanded(text: str, known: Mapping[str, str]) -> str:
    """Put values in the place of ``${NAME}``. Raises ValueError for a name that is not known."""
    unknown = [name for name in _VARIABLE.findall(text) if name not in known]
    if unknown or "$" in _VARIABLE.sub("", text):
        raise ValueError(f"not known here: {text}")
    return _VARIABLE.sub(lambda found: known[found[1]], text)


def copy_of(words: str) -> Copy:
    """Read the words of a COPY. Raises ValueError for an option other than ``--from``."""
    *sources, place = words.split()
    stage = sources.pop(0).removeprefix("--from=") if sources[0].startswith("--from=") else ""
    if not sources or any(one.startswith(("--", "[")) for one in sources):
        raise ValueError(f"not known here: COPY {words}")
    return Copy(stage, sources, place)


def _lines(text: str) -> list[str]:
    """Return the instructions, each on one line, without comments."""
    kept = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join(kept).replace("\\\n", " ").splitlines()
