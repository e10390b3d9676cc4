"""Which group of like pictures a slice belongs to, and which pictures may not vouch for it.

Evaluated inside the boundary: names that come from an address are keyed, as ids are.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from s2sw.connectors.slices import Slice
from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.privacy.ids import derived_key, keyed_name
from s2sw.schemas.codes import (
    BODY_PARTS,
    LATERALITIES,
    MODALITIES,
    SERIES_KINDS,
    VIEWS,
    all_allowed,
    allowed,
)
from s2sw.schemas.config import GroupSettings

LEVELS = 4
"""Folders above an object's own that a small group falls back to, at most; then to all of the source."""
ALIAS = 12
"""Characters of a keyed name that are part of a group's name."""
SITE = "site-"
"""Before the keyed name of a site."""


@dataclass(frozen=True)
class Grouping:
    """root: the source, from which folders count. key: of ``grouping``; None in open mode."""

    settings: GroupSettings
    root: str
    key: bytes | None

    def groups(self, address: str, picture: Slice) -> list[str]:
        """Return the names of the groups that a slice belongs to, from its own to the most general one."""
        site, values = self._site(address), _codes(picture)
        if values["modality"]:
            values["site"] = site
            return _parents([values[column] or "-" for column in self.settings.columns])
        plane = picture.plane or "-"
        ends = [f"{site}/{plane}", plane] if site else [plane]
        return [f"{self._alias(kind)}/{end}" for kind in self.kinds(address) for end in ends]

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
        first, *others = name.split("/")
        of_kind = [kind or "all of the source" for kind in self.kinds(address) if self._alias(kind) == first]
        site = self._site(address)
        of_site = [f"site {self._site_in(address)}"] if site and site in (first, *others) else []
        return ", ".join([*of_kind[:1], *of_site])

    def case(self, address: str, picture: Slice) -> str:
        """Return the keyed name of the case (patient, lot) that a slice is of, "" where nothing names one."""
        if self.settings.case is not None and (found := re.search(self.settings.case, address)):
            return keyed_name(self.key, b"case", (found["case"] or "").encode("utf-8", "surrogatepass"))
        patient = picture.facts.patient
        return keyed_name(self.key, b"patient", patient) if patient else ""

    def _site_in(self, address: str) -> str:
        """Return what of an address names its site, in clear; "" where nothing does."""
        found = re.search(self.settings.site, address) if self.settings.site is not None else None
        return (found["site"] or "") if found else ""

    def _site(self, address: str) -> str:
        site = self._site_in(address)
        return f"{SITE}{self._alias(site, b'site')}" if site else ""

    def _alias(self, kind: str, domain: bytes = b"kind") -> str:
        return keyed_name(self.key, domain, kind.encode("utf-8", "surrogatepass"))[:ALIAS]


def is_keyed(name: str) -> bool:
    """Tell whether a group's name is made of a folder or of what a pattern found, not of codes of tags."""
    first, *others = name.split("/")
    alias = rf"[a-z2-7]{{{ALIAS}}}"
    return re.fullmatch(alias, first) is not None or any(
        re.fullmatch(SITE + alias, part) for part in (first, *others)
    )


def grouping(settings: GroupSettings, source: str, key: bytes | None) -> Grouping:
    """Return the grouping of a source. key: the id key; processes that read objects get one made of it."""
    root = source.rstrip("/") if is_s3(source) else str(Path(source).resolve())
    return Grouping(settings, root, derived_key(key, b"profile"))


def _codes(picture: Slice) -> dict[str, str]:
    """Return what a slice says of itself, by column: codes of closed lists, and words of the program."""
    return {
        "modality": allowed(picture.modality, MODALITIES),
        "body_part": allowed(picture.body_part, BODY_PARTS),
        "view": allowed(picture.view_position, VIEWS),
        "laterality": allowed(picture.laterality, LATERALITIES),
        "plane": picture.plane,
        "series": all_allowed(picture.series_kind, SERIES_KINDS),
    }


def _parents(values: list[str]) -> list[str]:
    """Return the name of all values, then of all but the last, and so on."""
    names = ["/".join(values[:count]) for count in range(len(values), 0, -1)]
    return list(dict.fromkeys(names))
