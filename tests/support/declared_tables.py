"""The tables of docs/detectors.md and docs/weights.md, made of what the systems declare."""

from collections.abc import Iterable, Sequence

from pydantic.fields import FieldInfo

from s2sw.model.detectors.registry import SYSTEMS, detector_kind


def options_table() -> str:
    """Return the options of all systems, as Markdown; systems that take one alike share a row."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for system in SYSTEMS:
        for option, field in detector_kind(system).options.model_fields.items():
            rows.setdefault((option, _default(field), str(field.description)), []).append(system)
    cells = [
        (f"`{option}`", ", ".join(which), default, text) for (option, default, text), which in rows.items()
    ]
    return _table(("option", "systems", "default", "what it is"), sorted(cells))


def systems_table() -> str:
    """Return what is published of each system, as Markdown."""
    heads = ("system", "published as", "checkpoint", "licence", "tower and input", "trained on", "notes")
    rows = []
    for system in SYSTEMS:
        kind = detector_kind(system)
        if kind.publication is not None:
            p = kind.publication
            tower = f"{kind.clip}, {kind.image_size} px"
            rows.append((f"`{system}`", p.name, p.checkpoint, p.licence, tower, p.trained_on, p.means))
    return _table(heads, rows)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    return "" if field.default in (None, ()) else f"`{field.default}`"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
