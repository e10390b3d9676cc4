"""Layouts of data sets, and one clear line for whatever is wrong with them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.connectors.datasets import DataSet, DataSetError, open_dataset
from s2sw.connectors.datasets.pictures import fit_mask, read_mask, read_picture
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.storage import StorageSettings
from tests.support import layouts

STORAGE, DECODING = StorageSettings(), DecodeSettings()


def summary(data: DataSet) -> list[tuple[str, str, bool | None, bool]]:
    return [(s.group, s.name, s.anomalous, s.mask is not None) for s in data.samples]


@pytest.mark.parametrize("suffix", ["_mask", ""])
def test_mvtec_of_several_classes(tmp_path: Path, suffix: str) -> None:
    data = open_dataset(layouts.mvtec(tmp_path / "metal", suffix=suffix))
    assert data.name == "metal"
    assert [group for group, _ in data.groups()] == ["bolt", "nut"]
    assert summary(data)[:4] == [
        ("bolt", "bolt/crack/000.jpg", True, True),
        ("bolt", "bolt/crack/001.jpg", True, True),
        ("bolt", "bolt/crack/002.jpg", True, True),
        ("bolt", "bolt/good/000.png", False, False),
    ]


def test_mvtec_of_one_class_and_without_masks(tmp_path: Path) -> None:
    root = layouts.mvtec(tmp_path, ("bolt",)) / "bolt"
    (root / "ground_truth").rename(root / "elsewhere")
    data = open_dataset(root)
    assert {group for group, _ in data.groups()} == {"bolt"}
    assert {(anomalous, masked) for _, _, anomalous, masked in summary(data)} == {
        (True, False),
        (False, False),
    }


def test_visa_takes_its_test_split_and_masks_of_any_kind(tmp_path: Path) -> None:
    data = open_dataset(layouts.visa(tmp_path))
    assert [s[2:] for s in summary(data)] == [(False, False), (True, True)] * 2
    assert summary(open_dataset(tmp_path / "split_csv" / "1cls.csv")) == summary(data)
    assert len(open_dataset(tmp_path, split="train").samples) == 1
    found = read_mask(data.samples[1], STORAGE, DECODING)
    assert found is not None
    assert (found.dtype, int(found.sum())) == (np.bool_, 36)


def test_meta_json(tmp_path: Path) -> None:
    data = open_dataset(layouts.meta(tmp_path))
    assert [s[2:] for s in summary(data)] == [(False, False), (True, True)] * 2
    assert read_picture(data.samples[0], STORAGE, DECODING).shape == (layouts.SIDE, layouts.SIDE, 3)
    with pytest.raises(DataSetError, match=r"meta.json: no split 'valid' .* 'train', 'test'"):
        open_dataset(tmp_path, split="valid")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_plain_tables(tmp_path: Path, kind: str) -> None:
    for number in range(3):
        layouts.picture(tmp_path / f"{number}.png", number)
    layouts.mask(tmp_path / "m.png")
    columns = {"image": ["0.png", "1.png", "2.png"], "mask": ["", "m.png", None], "label": ["0", "", "1"]}
    path = tmp_path / f"list.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table(columns), path)
    else:
        rows = zip(*columns.values(), strict=True)
        path.write_text("\n".join([",".join(columns), *(",".join(c or "" for c in row) for row in rows)]))
    assert [s[2:] for s in summary(open_dataset(path))] == [(False, False), (None, True), (True, False)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,mask\n", "list.csv: 0 rows, none of them of split 'test'"),
        ("picture,label\na.png,0\n", "has the columns picture, label; 'image' and"),
        ("image,label\na.png,0\nb.png,0\n", r"row 2: 'image' is 'b.png'; there is no file .*b.png"),
        ("image,label\na.png,maybe\n", "row 1: 'label' is 'maybe'; 0, 1, normal or anomaly"),
        ("image,label,mask\na.png,,\n", "row 1: neither 'label' nor 'mask' says"),
        ("image,label,mask\na.png,1,m.png\n", "row 1: 'mask' is 'm.png'; there is no file"),
        ("image,label\n,1\n", "row 1: 'image' is empty"),
        ("image,label\na.png\n", "list.csv: not readable"),
        ("image,label,split\na.png,1,train\n", "1 rows, none of them of split 'test'"),
    ],
)
def test_wrong_tables(tmp_path: Path, text: str, message: str) -> None:
    layouts.picture(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataSetError, match=message):
        open_dataset(tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"img_path": "gone.png", "anomaly": 0},
            r"test.tile\[0\]: 'img_path' is 'gone.png'; there is no file",
        ),
        ({"img_path": "images/0.png", "anomaly": 2}, "'anomaly' is 2; 0 or 1"),
        ({"anomaly": 1}, "an object with 'img_path' is expected"),
        ({"img_path": "images/0.png", "anomaly": 1, "mask_path": "x.png"}, "'mask_path' is 'x.png'"),
        ({"img_path": "images/0.png", "anomaly": 1, "mask_path": 3}, "'mask_path' is 3"),
    ],
)
def test_wrong_meta(tmp_path: Path, entry: dict[str, object], message: str) -> None:
    layouts.meta(tmp_path)
    (tmp_path / "meta.json").write_text(json.dumps({"test": {"tile": [entry]}}))
    with pytest.raises(DataSetError, match=message):
        open_dataset(tmp_path)


def test_wrong_folders_and_files(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="no such file or folder"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DataSetError, match="holds neither test/<defect>/ nor"):
        open_dataset(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataSetError, match=r"a folder, or a .json, .csv or .parquet"):
        open_dataset(tmp_path / "notes.txt")
    root = layouts.mvtec(tmp_path / "m", ("bolt",))
    (root / "bolt" / "ground_truth" / "crack" / "001_mask.png").unlink()
    with pytest.raises(DataSetError, match=r"crack/001.jpg: no mask 001_mask.\* or 001.\* lies in"):
        open_dataset(root)


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    data = open_dataset(layouts.meta(tmp_path))
    Path(data.samples[0].image).write_bytes(b"no picture")
    with pytest.raises(DataSetError, match=r"images/0.png: cannot be decoded \(unknown_format\)"):
        read_picture(data.samples[0], STORAGE, DECODING)
    Path(data.samples[1].image).unlink()
    with pytest.raises(DataSetError, match=r"images/1.png: cannot be read \(not_found\)"):
        read_picture(data.samples[1], STORAGE, DECODING)


@given(st.integers(1, 60), st.integers(1, 60))
def test_masks_of_other_sizes_keep_their_share(rows: int, cols: int) -> None:
    mask = np.zeros((80, 40), dtype=bool)
    mask[:40] = True
    fitted = fit_mask(mask, rows, cols)
    assert fitted.shape == (rows, cols)
    assert abs(float(fitted.mean()) - 0.5) <= 0.5 / rows + 1e-9
    assert fit_mask(mask, 80, 40) is mask
