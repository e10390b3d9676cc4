"""Small data sets on disk, in the layouts that are read."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 24


def picture(path: Path, seed: int = 0, side: int = SIDE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def mask(path: Path, value: int = 255, side: int = SIDE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((side, side), np.uint8)
    pixels[4:10, 4:10] = value
    Image.fromarray(pixels).save(path)
    return path


def mvtec(root: Path, classes: tuple[str, ...] = ("bolt", "nut"), suffix: str = "_mask") -> Path:
    for name in classes:
        for number in range(3):
            picture(root / name / "test" / "good" / f"{number:03}.png", number)
            picture(root / name / "test" / "crack" / f"{number:03}.jpg", number + 10)
            mask(root / name / "ground_truth" / "crack" / f"{number:03}{suffix}.png")
    return root


def visa(root: Path) -> Path:
    rows = ["object,split,label,image,mask"]
    for number in range(4):
        label = ("normal", "anomaly")[number % 2]
        image = picture(root / "candle" / f"{number}.JPG", number).relative_to(root)
        truth = mask(root / "candle" / "masks" / f"{number}.png", value=3).relative_to(root)
        rows.append(f"candle,test,{label},{image},{truth if number % 2 else ''}")
    rows.append(f"candle,train,normal,{picture(root / 'candle' / 'train.JPG').relative_to(root)},")
    (root / "split_csv").mkdir()
    (root / "split_csv" / "1cls.csv").write_text("\n".join(rows) + "\n")
    return root


def meta(root: Path) -> Path:
    entries = []
    for number in range(4):
        picture(root / "images" / f"{number}.png", number)
        mask(root / "masks" / f"{number}.png")
        entries.append({
            "img_path": f"images/{number}.png",
            "mask_path": f"masks/{number}.png" if number % 2 else "",
            "cls_name": "tile",
            "specie_name": "crack" if number % 2 else "good",
            "anomaly": number % 2,
        })  # fmt: skip
    (root / "meta.json").write_text(json.dumps({"train": {}, "test": {"tile": entries}}))
    return root
