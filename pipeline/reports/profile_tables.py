"""A profile's groups and detection limits, and two profiles beside each other, as tables of a terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table

from s2sw.model.rarity.choosing import BUDGET
from s2sw.pipeline.reports.profile_page import share, size_words
from s2sw.pipeline.reports.terminal import plain
from s2sw.schemas.profile import GroupRecord, ProfileRecord


def print_profile(record: ProfileRecord) -> None:
    """Print a profile's groups, and what was found of the defects seeded in each."""
    console = _console()
    made = f"made {record.created}" + (f", updated {record.updated}" if record.updated else "")
    console.print(plain(f"Profile {record.fingerprint}, detector {record.detector}, {made}"))
    table = Table("group", "pictures", "objects", "resemblance", "weight of rarity", "seeded defects found")
    for group in record.groups:
        name = f"{group.name} ({group.label})" if group.label else group.name
        numbers = str(group.pictures), str(group.objects), f"{group.resemblance:.2f}", f"{group.weight:g}"
        table.add_row(plain(name), *numbers, _found(group))
    console.print(table)
    for group in record.groups:
        if group.limits:
            console.print(_limits(group))


def print_comparison(one: ProfileRecord, other: ProfileRecord) -> None:
    """Print the groups of two profiles: pictures, weights, and the share of seeded defects found."""
    table = Table("group", "pictures", "weight of rarity", "seeded defects found")
    for name in sorted({group.name for group in (*one.groups, *other.groups)}):
        pair = one.group(name), other.group(name)
        cells: list[Any] = [
            [str(of(group)) if group else "-" for group in pair]
            for of in (lambda group: group.pictures, lambda group: f"{group.weight:g}", _found)
        ]
        table.add_row(name, *(" | ".join(cell) for cell in cells))
    console = _console()
    if one.bundle != other.bundle:
        console.print("They were made with different detectors: their numbers are not comparable.")
    console.print(table)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True)


def _limits(group: GroupRecord) -> Table:
    contrasts = sorted({limit.contrast for limit in group.limits})
    title = f"{group.name}: defects found when {BUDGET:.0%} of the pictures are opened (95 % interval)"
    table = Table("area up to", *(f"contrast up to {c:g}" for c in contrasts), title=title)
    for size in sorted({limit.size for limit in group.limits}):
        here = {limit.contrast: limit for limit in group.limits if limit.size == size}
        cells = [share(here[c].found, here[c].seeds) if c in here else "-" for c in contrasts]
        table.add_row(size_words(size, group.extent), *cells)
    return table


def _found(group: GroupRecord) -> str:
    seeds = sum(limit.seeds for limit in group.limits)
    return share(sum(limit.found for limit in group.limits), seeds) if seeds else "-"
