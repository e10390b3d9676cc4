"""Results that somebody else wrote lead to no file, no server and no memory; honest rows beside them stay."""

import contextlib
import csv
import socket
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import zstandard

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.imaging.masks import PACKBITS_ZSTD
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.results.checking import BadRowError
from s2sw.pipeline.results.reading import full_map, mask, open_results
from s2sw.pipeline.results.sources import NoSourceError, ObjectRef, Sources
from s2sw.schemas.storage import StorageSettings
from tests.security.forged import everything, export, forge, only
from tests.support.screened import Screened

VICTIM = "ward/ct.dcm"
FORMATS = ["coco", "png", "fiftyone"]
NAMES = [
    "../../../above", "/etc/passwd", "*", "[a-z]*", "a" * 26 + "/", "..", "", "A" * 26, "a" * 25 + "\n",
    "=cmd|' /C calc'!A0", "x" * 100_000,
]  # fmt: skip


def rows(screened: Screened) -> dict[str, dict[str, Any]]:
    return {row["object_id"]: row for row in open_results(str(screened.output)).slices().to_pylist()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("column", ["object_id", "run_id"])
def test_names_make_no_path(ward: Screened, tmp_path: Path, column: str, name: str) -> None:
    for table in ("slices", "objects"):
        forge(ward, table, only(ward.ids[VICTIM], **{column: name}))
    before = everything(tmp_path)
    done = export(ward, tmp_path / "a" / "b" / "out", "-f", "png", "--reveal", "pixels")
    assert done.exit_code in (0, 1), done.output
    assert "Traceback" not in done.output
    written = everything(tmp_path) - before
    assert all(path.is_relative_to(tmp_path / "a") for path in written)
    assert len([path for path in written if path.suffix == ".png"]) >= 3, "the honest rows are there"


def test_run_ids_are_no_patterns(ward: Screened) -> None:
    """The attack: ``*`` found the crosswalk of every run."""
    inside = Inside(ward.private)
    for run_id in ("*", "../crosswalk/*", "2026*", "**"):
        assert inside.crosswalk_files(run_id) == []
    assert inside.crosswalk_files("20260701T010000-aaaaaa")


@pytest.mark.parametrize(
    "host", ["s3://stolen/object", "/etc/hostname", "file:///etc/hostname", "http://x/y"]
)
def test_addresses_in_private_results_are_nobodys(
    ward: Screened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(socket.socket, "connect", _never)
    monkeypatch.setattr("s2sw.pipeline.results.sources.read_object", _never)
    unknown = "b" * 26
    sources = Sources(LocalOutput(ward.output), Inside(ward.private), StorageSettings())
    with pytest.raises(NoSourceError):
        sources.locate(ObjectRef(unknown, "20260701T010000-aaaaaa", host))
    forge(ward, "objects", lambda _: {"uri": host})
    done = export(ward, tmp_path / "out", "-f", "csv", "--reveal", "names")
    assert done.exit_code == 0, done.output
    with (tmp_path / "out" / "worklist.csv").open(newline="") as file:
        addresses = {line["address"] for line in csv.DictReader(file)}
    assert host not in addresses


def test_s3_is_asked_only_where_it_is_configured(ward: Screened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _never)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    output, address = LocalOutput(ward.output), "s3://stolen/object"
    for settings in (StorageSettings(), StorageSettings(endpoint_url="http://127.0.0.1:9")):
        sources = Sources(output, Inside(ward.private), settings, private=False)
        with pytest.raises(NoSourceError):
            sources.locate(ObjectRef("b" * 26, "20260701T010000-aaaaaa", address))


def _never(*_: object, **__: object) -> None:
    raise AssertionError("somebody was asked")


HUGE = {
    "a mask that inflates": {
        "mask": zstandard.compress(bytes(4 << 30 >> 4)), "mask_encoding": PACKBITS_ZSTD,
    },
    "a mask that says it is large": {
        "mask": b"\x28\xb5\x2f\xfd\xe0" + (1 << 40).to_bytes(8, "little") + b"\x01\x00\x00",
        "mask_encoding": PACKBITS_ZSTD,
    },
    "a side": {"side": 32767, "grid": 1, "token_map": b"\0\0"},
    "rows and columns": {"rows": 200_000, "cols": 200_000},
    "rows of the largest kind": {"rows": 65_535, "cols": 65_535},
    "negative rows": {"rows": -5},
    "no token": {"token_map": b""},
    "a grid": {"grid": 30_000},
    "a mask of nothing": {"mask": b""},
    "runs": {"mask": b"oooooo0" * 9, "mask_encoding": "coco_rle"},
}  # fmt: skip


@pytest.mark.parametrize("kind", list(HUGE))
def test_a_row_that_is_too_large_is_left_out_and_counted(ward: Screened, tmp_path: Path, kind: str) -> None:
    forge(ward, "slices", only(ward.ids[VICTIM], **HUGE[kind]))
    tracemalloc.start()
    try:
        row = rows(ward)[ward.ids[VICTIM]]
        for read in (full_map, mask):
            with contextlib.suppress(BadRowError):
                read(row)
        for name in FORMATS:
            asked = ["--reveal", "pixels"] if name != "coco" else []
            done = export(ward, tmp_path / name, "-f", name, *asked)
            assert done.exit_code == 0, done.output
        assert tracemalloc.get_traced_memory()[1] < 600 << 20
    finally:
        tracemalloc.stop()


def test_layers_are_bounded(ward: Screened) -> None:
    layer = {"grid": 15, "side": 240, "smooth": True, "corners": False, "logit": True, "weight": 1.0}
    row = rows(ward)[ward.ids[VICTIM]]
    for layers in ([layer] * 1000, [layer | {"side": 1 << 30}], [layer | {"grid": 0}], [{}], [None], "x"):
        with pytest.raises(BadRowError):
            full_map(row | {"map_layers": layers})
