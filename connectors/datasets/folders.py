"""MVTec AD's layout: ``[CLASS/]test/<defect>/*`` and ``[CLASS/]ground_truth/<defect>/*_mask.png``.

Source: the MVTec AD data set (Bergmann et al., IJCV 2021). BTAD, MPDD and others are laid out alike.
"""

from collections.abc import Iterator
from pathlib import Path

from s2sw.connectors.datasets.samples import DataSetError, Sample

NORMAL = frozenset({"good", "ok", "normal"})
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".jp2", ".dcm"})
TRUTH = "ground_truth"


def read_folders(root: Path, split: str = "test") -> list[Sample]:
    """Return the samples of a class folder, or of all class folders below root.

    Folders ``good``, ``ok`` and ``normal`` are normal, all others anomalous. Where there is no folder of
    masks for a defect its pictures have none. Raises DataSetError.
    """
    single = root / split
    if single.is_dir():
        return list(_class(root, root.absolute().name, split, ""))
    classes = sorted(folder for folder in root.iterdir() if (folder / split).is_dir())
    if not classes:
        raise DataSetError(
            f"{root}: holds neither {split}/<defect>/ nor <class>/{split}/<defect>/, nor a meta.json or "
            "split_csv/1cls.csv; name the folder of a data set"
        )
    return [s for folder in classes for s in _class(folder, folder.name, split, f"{folder.name}/")]


def _class(root: Path, group: str, split: str, prefix: str) -> Iterator[Sample]:
    for folder in sorted(path for path in (root / split).iterdir() if path.is_dir()):
        anomalous = folder.name.lower() not in NORMAL
        truth = root / TRUTH / folder.name
        masks = _masks(truth) if anomalous and truth.is_dir() else None
        for image in sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES):
            mask = None if masks is None else _mask_of(image, masks, truth)
            yield Sample(group, f"{prefix}{folder.name}/{image.name}", str(image), mask, anomalous)


def _masks(folder: Path) -> dict[str, str]:
    return {path.stem: str(path) for path in sorted(folder.iterdir()) if path.is_file()}


def _mask_of(image: Path, masks: dict[str, str], folder: Path) -> str:
    for stem in (f"{image.stem}_mask", image.stem):
        if stem in masks:
            return masks[stem]
    raise DataSetError(f"{image}: no mask {image.stem}_mask.* or {image.stem}.* lies in {folder}")
