"""What a bundle says about itself, as text."""

from pathlib import Path
from typing import Any

from rich.console import Console

from s2sw.schemas.shown import printable


def print_bundle(folder: Path) -> None:
    """Print a bundle's record, a line an entry; raises BundleError for a folder that is none."""
    from s2sw.model.bundles.record import read_record

    record = read_record(folder, check_weights=False)
    vision = record.vision
    rows = {
        "detector": record.detector,
        "CLIP": record.clip if record.trained else f"{record.clip} (untrained: scores mean nothing)",
        "prompts": record.prompts,
        "input": f"{record.image_size} x {record.image_size} px, {record.grid} x {record.grid} patches",
        "tower": f"{vision.layers} blocks of width {vision.width}, patch {vision.patch}, {vision.activation}",
        "families": ", ".join(record.family_names) or "none",
        **{name.replace("_", " "): _shown(name, value) for name, value in record.settings.items()},
        "fingerprint": record.fingerprint,
    }
    console = Console(soft_wrap=True, highlight=False)
    for name, value in rows.items():
        console.print(printable(f"{name:<16} {value}"), markup=False)


def _shown(name: str, value: Any) -> str:
    if name != "members":
        return ", ".join(map(str, value)) if name == "class_names" else str(value)
    return ", ".join(f"{member['record']['detector']} {member['weight']:.3g}" for member in value)
