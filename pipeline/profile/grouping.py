"""Which group of like pictures a slice belongs to, and which pictures may not vouch for it.

Evaluated inside the boundary: names that come from an address are keyed, as ids are.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from s2sw.connectors.slices import Slice
from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.privacy.ids import derived_key, keyed_name
from s2sw.schemas.codes import BODY_PARTS, MODALITIES, allowed
from s2sw.schemas.config import GroupSettings

LEVELS = 4
"""Folders above an object's own that a small group falls back to, at most; then to all of the source."""
ALIAS = 12
"""Characters of a keyed name that are part of a group's name."""


@dataclass(frozen=True)
class Grouping:
    """root: the source, from which folders count. key: of ``grouping``; None in open mode."""

    settings: GroupSettings
    root: str
    key: bytes | None

    def groups(self, address: str, picture: Slice) -> list[str]:
        """Return the names of the groups that a slice belongs to, from its own to the most general one."""
        modality = allowed(picture.modality, MODALITIES)
        if modality:
            values = {
                "modality": modality,
                "body_part": allowed(picture.body_part, BODY_PARTS),
                "plane": picture.plane,
            }
            return _parents([values[column] or "-" for column in self.settings.columns])
        plane = picture.plane or "-"
        return [f"{self._alias(kind)}/{plane}" for kind in self.kinds(address)]

    def kinds(self, address: str) -> list[str]:
        """Return what an address without a modality is grouped by, in clear: its folder and those above."""
        if self.settings.pattern is not None:
            found = re.search(self.settings.pattern, address)
            return [found["group"] or ""] if found else []
        folder = address.removeprefix(self.root).lstrip("/").rpartition("/")[0]
        parts = folder.split("/") if folder else []
        above = ["/".join(parts[:count]) for count in range(len(parts), -1, -1)]
        return [*above[: LEVELS + 1], *([""] if len(above) > LEVELS + 1 else [])]

    def label(self, name: str, address: str) -> str:
        """Return what a group's name stands for, in clear."""
        for kind in self.kinds(address):
            if name.startswith(f"{self._alias(kind)}/"):
                return kind or "all of the source"
        return ""

    def case(self, address: str, picture: Slice) -> str:
        """Return the keyed name of the case (patient, lot) that a slice is of, "" where nothing names one."""
        if self.settings.case is not None and (found := re.search(self.settings.case, address)):
            return keyed_name(self.key, b"case", (found["case"] or "").encode("utf-8", "surrogatepass"))
        patient = picture.facts.patient
        return keyed_name(self.key, b"patient", patient) if patient else ""

    def _alias(self, kind: str) -> str:
        return keyed_name(self.key, b"kind", kind.encode("utf-8", "surrogatepass"))[:ALIAS]


def is_keyed(name: str) -> bool:
    """Tell whether a group's name is made of a folder or of what a pattern found, not of codes of tags."""
    return re.fullmatch(rf"[a-z2-7]{{{ALIAS}}}", name.partition("/")[0]) is not None


def grouping(settings: GroupSettings, source: str, key: bytes | None) -> Grouping:
    """Return the grouping of a source. key: the id key; processes that read objects get one made of it."""
    root = source.rstrip("/") if is_s3(source) else str(Path(source).resolve())
    return Grouping(settings, root, derived_key(key, b"profile"))


def _parents(values: list[str]) -> list[str]:
    """Return the name of all values, then of all but the last, and so on."""
    names = ["/".join(values[:count]) for count in range(len(values), 0, -1)]
    return list(dict.fromkeys(names))
