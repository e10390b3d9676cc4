"""``meta.json``: the list that public zero-shot detectors share.

``{"test": {class: [{"img_path", "mask_path", "cls_name", "specie_name", "anomaly"}]}}``, with paths relative
to the file's folder.
"""

import json
from pathlib import Path
from typing import Any

from s2sw.connectors.datasets.places import place_of
from s2sw.connectors.datasets.samples import DataSetError, Sample

META = "meta.json"


def read_meta(path: Path, split: str = "test") -> list[Sample]:
    """Return the samples of one split. Raises DataSetError that names the class and the entry."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataSetError(f"{path}: not readable as JSON ({' '.join(str(error).split())})") from error
    classes = content.get(split) if isinstance(content, dict) else None
    if not isinstance(classes, dict):
        known = ", ".join(map(repr, content)) if isinstance(content, dict) else "no object"
        raise DataSetError(f"{path}: no split {split!r} with classes in it; it has {known}")
    return [
        _sample(path, f"{split}.{group}[{number}]", str(group), entry)
        for group, entries in classes.items()
        for number, entry in enumerate(entries if isinstance(entries, list) else [entries])
    ]


def _sample(path: Path, where: str, group: str, entry: Any) -> Sample:
    if not isinstance(entry, dict) or not isinstance(entry.get("img_path"), str):
        raise DataSetError(f"{path}: {where}: an object with 'img_path' is expected, got {entry!r:.80}")
    anomaly, mask = entry.get("anomaly"), entry.get("mask_path") or None
    if anomaly not in (0, 1):
        raise DataSetError(f"{path}: {where}: 'anomaly' is {anomaly!r}; 0 or 1 is expected")
    if mask is not None and not isinstance(mask, str):
        raise DataSetError(f"{path}: {where}: 'mask_path' is {mask!r}; a path or an empty text is expected")
    root = path.parent
    image = place_of(root, entry["img_path"], f"{path}: {where}: 'img_path'")
    found = place_of(root, mask, f"{path}: {where}: 'mask_path'") if mask and anomaly else None
    return Sample(group, entry["img_path"], image, found, bool(anomaly))
