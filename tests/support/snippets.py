"""The fenced blocks of README and docs: in which language, where, and what they need to run.

A fence says the language, as ``sh``, or ``sh needs: CLIP weights, a GPU``; without ``needs`` a test runs it.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"sh", "python", "sql", "yaml", "text"}
"""``text`` is a drawing: nothing to be typed."""

LACKING: dict[str, set[str]] = {
    "packages": set(), "S3": {"aws"}, "CLIP weights": set(), "DINOv2 weights": set(), "a GPU": set(),
    "a folder that grows": set(), "a published program": set(), "containers": {"podman"},
    "a cluster": {"kubectl"},
}  # fmt: skip
"""What a machine that tests may lack, and the programs that come with it. ``packages``: gigabytes of them."""

_FENCE = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
_HEAD = re.compile(r"(?P<language>\w+)(?: needs: (?P<needs>\w[^,]*(?:, \w[^,]*)*))?$")


@dataclass(frozen=True)
class Snippet:
    """A block. place: page and line; head: what follows the fence; needs: None where the head is wrong."""

    place: str
    head: str
    text: str

    @property
    def language(self) -> str:
        return self.head.partition(" ")[0]

    @property
    def needs(self) -> frozenset[str] | None:
        found = _HEAD.match(self.head)
        if found is None:
            return None
        return frozenset(found["needs"].split(", ")) if found["needs"] else frozenset()

    @property
    def commands(self) -> list[list[str]]:
        """The words of each line, joined where it goes on."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(line.replace("[", "\\["), comments=True) for line in lines]
        return [[Path(one[0]).name, *one[1:]] for one in words if one]


def snippets(*languages: str) -> Iterator[Snippet]:
    """Yield the blocks of these languages, of all if none is named, page by page."""
    for page in PAGES:
        text = page.read_text()
        for found in _FENCE.finditer(text):
            one = Snippet(f"{page.name}:{text[: found.start()].count(chr(10)) + 1}", found[1], found[2])
            if not languages or one.language in languages:
                yield one
