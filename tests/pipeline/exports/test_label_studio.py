"""Label Studio's tasks: the documented structure, and its run lengths read by a decoder written apart."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import hypothesis.extra.numpy as hnp
import jsonschema
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from s2sw.pipeline.exports.brush_rle import encode_brush
from s2sw.pipeline.exports.label_studio import SERVED
from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.results.reading import mask
from tests.pipeline.exports.exported import export, rows_of
from tests.support.screened import Screened

# of the pages "Import pre-annotated data" and "BrushLabels" of Label Studio's documentation
REGION = {
    "type": "object",
    "required": ["id", "from_name", "to_name", "type", "value", "original_width", "original_height"],
    "properties": {
        "id": {"type": "string"},
        "from_name": {"const": "regions"},
        "to_name": {"const": "image"},
        "type": {"const": "brushlabels"},
        "original_width": {"type": "integer", "minimum": 1},
        "original_height": {"type": "integer", "minimum": 1},
        "image_rotation": {"const": 0},
        "value": {
            "type": "object",
            "required": ["format", "rle", "brushlabels"],
            "properties": {
                "format": {"const": "rle"},
                "rle": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
                "brushlabels": {"const": ["anomaly"]},
            },
        },
    },
}
PREDICTION = {
    "type": "object",
    "required": ["model_version", "result", "score"],
    "properties": {
        "model_version": {"type": "string"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "result": {"type": "array", "items": REGION},
    },
}
TASKS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["data", "predictions"],
        "additionalProperties": False,
        "properties": {
            "data": {"type": "object", "required": ["image"], "properties": {"image": {"type": "string"}}},
            "predictions": {"type": "array", "minItems": 1, "items": PREDICTION},
        },
    },
}

# what @thi.ng/rle-pack 3.1 made of two canvases: a disc and a dot, and runs longer than 65,536
DISC = (
    "00002580391bff02d7008fff828980613ffd9e018afff5d8063bffd5e0190fff538064bffd3e0194fff4d80653ffd2e0196fff498065"
    "bffd260196fff4780663ffd160198fff4580663ffd160198fff4580663ffd1e0196fff498065bffd260196fff4b80653ffd360194ff"
    "f4f8064bffd4e0190fff578063bffd76018afff6780613ffe0df600"
)
HALF = "00057e40391bffffff00ffffe01ffffc03ffff80745bf00fffffffce1fffc0"


def decoded(data: list[int]) -> NDArray[np.uint8]:
    """Return the words of run lengths, read bit by bit from the README of @thi.ng/rle-pack."""
    bits = iter("".join(f"{byte:08b}" for byte in data))

    def number(width: int) -> int:
        return int("".join(next(bits) for _ in range(width)), 2)

    def words() -> Iterator[int]:
        left, width = number(32), number(5) + 1
        sizes = [number(4) + 1 for _ in range(4)]
        while left:
            repeated, count = number(1), number(sizes[number(2)]) + 1
            left -= count
            yield from [number(width)] * count if repeated else [number(width) for _ in range(count)]

    return np.fromiter(words(), np.uint8)


def canvas(flags: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.repeat(flags.ravel().astype(np.uint8) * 255, 4)


def test_run_lengths_are_those_of_the_original_encoder() -> None:
    y, x = np.mgrid[0:40, 0:60]
    disc = ((x - 30) ** 2 + (y - 20) ** 2 < 150) | ((x == 2) & (y == 3))
    assert bytes(encode_brush(disc)).hex() == DISC
    half = np.arange(300 * 300).reshape(300, 300) >= 70_000
    assert bytes(encode_brush(half)).hex() == HALF


@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_run_lengths_come_back(flags: NDArray[np.bool_]) -> None:
    np.testing.assert_array_equal(decoded(encode_brush(flags)), canvas(flags))


def test_tasks_hold_the_masks_as_predictions(private_archive: Screened, folder: Path) -> None:
    exported = export(private_archive, "label-studio", folder, Reveal.PIXELS, top=10)
    tasks: list[dict[str, Any]] = json.loads((folder / "tasks.json").read_text())
    jsonschema.validate(tasks, TASKS)
    assert exported.written == len(tasks) == 10
    rows = rows_of(private_archive)
    for task in tasks:
        row = rows[task["data"]["object_id"], task["data"]["slice_index"]]
        picture = folder / "images" / task["data"]["image"].removeprefix(SERVED)
        with Image.open(picture) as image:
            assert image.size == (row["cols"], row["rows"])
        (region,) = task["predictions"][0]["result"]
        np.testing.assert_array_equal(decoded(region["value"]["rle"]), canvas(mask(row)))
        assert (region["original_width"], region["original_height"]) == (row["cols"], row["rows"])


def test_the_configuration_names_what_the_tasks_refer_to(private_archive: Screened, folder: Path) -> None:
    export(private_archive, "label-studio", folder, Reveal.PIXELS, top=1)
    view = ElementTree.fromstring((folder / "label_config.xml").read_text())
    assert {tag.get("name") for tag in view} >= {"image", "regions"}
    assert [tag.get("value") for tag in view.iter("Label")] == ["anomaly"]


def test_a_slice_without_a_mask_has_no_region(private_archive: Screened, folder: Path) -> None:
    export(private_archive, "label-studio", folder, Reveal.PIXELS, top=2, threshold=1.0)
    tasks = json.loads((folder / "tasks.json").read_text())
    assert [task["predictions"][0]["result"] for task in tasks] == [[], []]


def served(url: str, root: Path, storages: list[Path]) -> Path | None:
    """Return the file that Label Studio serves: it must lie below the root, in a folder of a storage.

    A storage must lie below the root, and not be it (the page "Local storage" of its documentation).
    """
    assert all(root in storage.parents and storage.is_dir() for storage in storages)
    path = Path(os.path.normpath(root / parse_qs(urlsplit(url).query)["d"][0]))
    inside = root in path.parents and any(path.is_relative_to(storage) for storage in storages)
    return path if inside and path.is_file() else None


def test_every_picture_is_served_after_the_documented_steps(private_archive: Screened, folder: Path) -> None:
    export(private_archive, "label-studio", folder, Reveal.PIXELS, top=8)
    docs = " ".join((Path(__file__).parents[3] / "docs/exports.md").read_text().split())
    assert "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=DIR`" in docs
    storage = re.search(r"source storage \*Local files\* with the absolute path `DIR/(\w+)`", docs)
    assert storage
    tasks = json.loads((folder / "tasks.json").read_text())
    assert len(tasks) == 8
    for task in tasks:
        assert served(task["data"]["image"], folder, [folder / storage[1]]) is not None
        assert served(task["data"]["image"], folder, []) is None
