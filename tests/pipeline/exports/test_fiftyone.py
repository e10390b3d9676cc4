"""A FiftyOneDataset of one JSON file, in the layout that FiftyOne's importer takes."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from s2sw.pipeline.exports.revealing import Reveal
from s2sw.pipeline.results.reading import full_map, mask
from tests.pipeline.exports.exported import export, rows_of
from tests.support.screened import Screened


def test_samples_lead_to_picture_map_and_mask(private_archive: Screened, folder: Path) -> None:
    export(private_archive, "fiftyone", folder, Reveal.PIXELS, top=8)
    samples = json.loads((folder / "samples.json").read_text())["samples"]
    rows = rows_of(private_archive)
    assert [sample["rank"] for sample in samples] == list(range(1, 9))
    for sample in samples:
        row = rows[sample["object_id"], sample["slice_index"]]
        shape = (row["rows"], row["cols"])
        assert np.asarray(Image.open(folder / sample["filepath"])).shape[:2] == shape
        heat, region = sample["anomaly_map"], sample["anomaly_mask"]
        assert (heat["_cls"], region["_cls"]) == ("Heatmap", "Segmentation")
        values = np.asarray(Image.open(folder / heat["map_path"]), np.float32) / heat["range"][1]
        np.testing.assert_allclose(values, full_map(row).clip(0, 1), atol=0.5 / 255 + 1e-6)
        inside = np.asarray(Image.open(folder / region["mask_path"]))
        np.testing.assert_array_equal(inside, mask(row) * np.uint8(255))


def test_files_lie_where_the_importer_looks_for_the_fields(private_archive: Screened, folder: Path) -> None:
    export(private_archive, "fiftyone", folder, Reveal.PIXELS, top=1)
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["media_type"] == "image"
    assert "version" not in metadata  # by which the importer tells this form from that of its database
    assert metadata["info"]["default_mask_targets"] == {"255": "anomaly"}
    (sample,) = json.loads((folder / "samples.json").read_text())["samples"]
    assert sorted(path.name for path in (folder / "fields").iterdir()) == ["anomaly_map", "anomaly_mask"]
    assert {name for name in sample if isinstance(sample[name], dict)} == {"anomaly_map", "anomaly_mask"}
