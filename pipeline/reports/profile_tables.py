"""A profile's groups and detection limits, and two profiles beside each other, as tables of a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from s2sw.model.rarity.choosing import BUDGET
from s2sw.pipeline.reports.profile_page import band_words, bands, share
from s2sw.pipeline.reports.terminal import plain
from s2sw.schemas.profile import GroupRecord, LimitRecord, ProfileRecord

DEFECTS, CHANGES = "seeded defects found", "changes of whole pictures found"


def print_profile(record: ProfileRecord) -> None:
    """Print a profile's groups, and what was found of the defects seeded in each."""
    console = _console()
    made = f"made {record.created}" + (f", updated {record.updated}" if record.updated else "")
    console.print(plain(f"Profile {record.fingerprint}, detector {record.detector}, {made}"))
    names = "group", "pictures", "objects", "resemblance", "weight of rarity", DEFECTS, CHANGES
    table = Table(*names)
    for group in record.groups:
        name = f"{group.name} ({group.label})" if group.label else group.name
        numbers = str(group.pictures), str(group.objects), f"{group.resemblance:.2f}", f"{group.weight:g}"
        table.add_row(plain(name), *numbers, _defects_found(group), _changes_found(group))
    console.print(table)
    for group in record.groups:
        if group.limits:
            console.print(limits_table(group))


def print_comparison(one: ProfileRecord, other: ProfileRecord) -> None:
    """Print the groups of two profiles: pictures, weights, and the shares found of what was seeded."""
    table = Table("group", "pictures", "weight of rarity", DEFECTS, CHANGES)
    for name in sorted({group.name for group in (*one.groups, *other.groups)}):
        pair = one.group(name), other.group(name)
        cells: list[Any] = [
            [str(of(group)) if group else "-" for group in pair]
            for of in (
                lambda group: group.pictures,
                lambda group: f"{group.weight:g}",
                _defects_found,
                _changes_found,
            )
        ]
        table.add_row(name, *(" | ".join(cell) for cell in cells))
    console = _console()
    if one.bundle != other.bundle:
        console.print("They were made with different detectors: their numbers are not comparable.")
    console.print(table)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def limits_table(group: GroupRecord) -> Table:
    """Return what was found of seeded defects by area and contrast, and of changes of whole pictures."""
    contrasts = sorted({limit.contrast for limit in group.limits})
    title = f"{group.name}: defects found when {BUDGET:.0%} of the pictures are opened (95 % interval)"
    table = Table("area", *(f"contrast up to {c:g}" for c in contrasts), title=title)
    for band in bands(group):
        here = {limit.contrast: limit for limit in group.limits if (limit.whole, limit.size) == band}
        cells = [share(here[c].found, here[c].seeds) if c in here else "-" for c in contrasts]
        table.add_row(band_words(band, group.extent), *cells)
    return table


def _defects_found(group: GroupRecord) -> str:
    return _found([limit for limit in group.limits if not limit.whole])


def _changes_found(group: GroupRecord) -> str:
    return _found([limit for limit in group.limits if limit.whole])


def _found(limits: Sequence[LimitRecord]) -> str:
    seeds = sum(limit.seeds for limit in limits)
    return share(sum(limit.found for limit in limits), seeds) if seeds else "-"
