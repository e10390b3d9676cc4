"""A small archive of real files and the results of two runs over it, written without a detector or Ray.

Slices are decoded as a run does; the map follows the picture's own contrast, so that masks lie on defects.
"""

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from s2sw.connectors.decode import decode
from s2sw.connectors.geometry import columns_of
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.reading.archives import expand_archives
from s2sw.connectors.slices import Slice
from s2sw.connectors.storage.objects import list_objects
from s2sw.connectors.storage.stored import StoredObject
from s2sw.model.maps import MapLayer
from s2sw.pipeline.imaging.masks import SliceMaps, measure
from s2sw.pipeline.ledger.audit import STARTED, AuditLog, end_facts, start_facts
from s2sw.pipeline.ledger.writer import Writer
from s2sw.pipeline.listing.manifest import freeze
from s2sw.pipeline.listing.todo import Todo
from s2sw.pipeline.privacy.ids import load_or_create_key, object_ids, uid_ids
from s2sw.pipeline.privacy.private_dir import Inside, RunState
from s2sw.pipeline.results.reading import open_results
from s2sw.pipeline.results.sources import read_payload
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.schemas.config import PartSettings, ScreenConfig
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import Reason, ScreeningError, Status, status_of
from s2sw.schemas.storage import StorageSettings
from tests.support.archives import dicom_file, encoded, texture
from tests.support.finished_runs import FIRST, SECOND, SETTINGS, summarise, write_run

GRID, SIDE = 15, 240
THRESHOLD = 0.5
HOSTILE = '<img src=x onerror="alert(1)">.png'
VOLUME_SLICES = 18
LAYER = MapLayer(GRID, SIDE, True)


@dataclass(frozen=True)
class Screened:
    """Where a screened archive and its results lie. ids: object ids by path below the archive."""

    archive: Path
    output: Path
    private: Path
    ids: dict[str, str]


def volume() -> bytes:
    """Return a NIfTI volume with a bright lesion in its middle slices."""
    rng = np.random.default_rng(11)
    rows, cols, planes = np.mgrid[0:96, 0:96, 0:VOLUME_SLICES]
    tissue = 300 + 60 * np.cos(rows / 17) * np.cos(cols / 23) + rng.normal(0, 12, rows.shape)
    lesion = ((rows - 36) / 9) ** 2 + ((cols - 58) / 8) ** 2 + ((planes - 10) / 4) ** 2
    samples = tissue + 260 * np.exp(-lesion)
    data: bytes = nibabel.Nifti1Image(samples.astype(np.int16), np.diag([1.0, 1.0, 4.0, 1.0])).to_bytes()
    return data


@lru_cache(maxsize=1)
def archive_files() -> dict[str, bytes]:
    """Return what lies in the archive of the first run, by path."""
    shapes = [(180, 240), (240, 180), (200, 200), (150, 320)]
    files = {
        f"line-{seed % 2}/part-{seed:02}.png": encoded(texture(*shapes[seed % 4], seed), "PNG")
        for seed in range(30)
    }
    inside = BytesIO()
    with zipfile.ZipFile(inside, "w") as member:
        member.writestr("belt/scan.png", encoded(texture(120, 160, 90), "PNG"))
    return files | {
        f"line-0/{HOSTILE}": encoded(texture(160, 160, 91, channels=1), "PNG"),
        "ward/head.nii": volume(),
        "ward/ct.dcm": dicom_file(),
        "box.zip": inside.getvalue(),
        "broken/empty.png": b"",
        "broken/cut.png": encoded(texture(90, 140, 7), "PNG")[:3000],
        "broken/<b>notes</b>.txt": b"Not a picture at all.\n" * 40,
    }


def screen_archive(
    folder: Path,
    mode: str = "private",
    names: Iterable[str] | None = None,
    files: Mapping[str, bytes] | None = None,
    sites: tuple[str, str] = ("north", "south"),
) -> Screened:
    """Write an archive and the results of two runs over it, on two days and at two sites.

    names: only these files of it. files: these instead, by path. sites: "" for one that is unknown.
    """
    source, private = folder / "archive", folder / "private"
    if files is None:
        files = {name: archive_files()[name] for name in names or archive_files()}
    for name, data in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    private.mkdir(mode=0o700)
    listed = sorted(
        expand_archives(list_objects(str(source), StorageSettings()), StorageSettings(), DecodeSettings()),
        key=lambda stored: stored.address,
    )
    key = load_or_create_key(private) if mode == "private" else None
    half = len(listed) // 2
    result = Screened(source, folder / "results", private, {})
    for run_id, site, objects in ((FIRST, sites[0], listed[:half]), (SECOND, sites[1], listed[half:])):
        _run(result, run_id, site, mode, objects, key)
    return result


def _run(
    result: Screened, run_id: str, site: str, mode: str, objects: list[StoredObject], key: bytes | None
) -> None:
    output, ids = LocalOutput(result.output), object_ids(key)
    state = Inside(result.private).open_state(str(result.output), run_id)
    _write_crosswalk(state, objects, ids)
    constants = {"bundle": "b", "fingerprint": SETTINGS, "run_id": run_id, "threshold": THRESHOLD}
    parts = PartSettings(rows=40, site=site, by_date=True)
    writer = Writer(output, parts, constants, keep_uri=mode == "open", uid_ids=uid_ids(key))
    finished = [_finished(number, stored) for number, stored in enumerate(objects)]
    for one, stored in zip(finished, objects, strict=True):
        object_id = ids(stored.address, stored.version)
        result.ids[stored.address.removeprefix(f"{result.archive.resolve()}/")] = object_id
        writer.add(one, object_id, stored)
    writer.commit()
    config = ScreenConfig.model_validate(
        {
            "source": str(result.archive),
            "output": str(result.output),
            "mode": mode,
            "flag": {"threshold": 0.3, "groups": [{"modality": "CT", "threshold": 0.7}]},
        }
    )
    audit, summary = AuditLog(output, key), summarise(finished, run_id)
    audit.append(STARTED, run_id, start_facts(config, "b", SETTINGS, key))
    audit.append(summary.outcome, run_id, end_facts(summary, write_run(output, summary, config)))


def _write_crosswalk(state: RunState, objects: list[StoredObject], ids: Any) -> None:
    freeze(iter(objects), ids, state.manifest)
    Todo.write(state.crosswalk(0), pq.read_table(state.manifest).to_batches(), 8)
    state.clear()


def _finished(number: int, stored: StoredObject) -> FinishedObject:
    try:
        payload = read_payload(stored, StorageSettings(), DecodeSettings())
        decoder, decoded = decode(payload.data, DecodeSettings())
        slices = list(decoded)
        rows = [{"slice_index": index, **_row(picture)} for index, picture in enumerate(slices)]
        return FinishedObject(number, Status.SCREENED, None, decoder, 1, rows, slices[0].facts.uids)
    except ScreeningError as error:
        reason: Reason = error.reason
        return FinishedObject(number, status_of(reason), reason, "", 1)


def _row(picture: Slice) -> dict[str, Any]:
    contrast = _contrast(picture.pixels)
    score = float(1 - np.exp(-contrast.max() / 45))
    tokens = (0.95 * contrast / contrast.max()).astype(np.float16)
    rows, cols = picture.pixels.shape[:2]
    mask = measure(SliceMaps(tokens[None], (LAYER,), rows, cols, []), THRESHOLD)
    return {
        "plane": picture.plane, "rows": rows, "cols": cols, "tiles": [], "modality": picture.modality,
        **columns_of(picture.geometry),
        "body_part": picture.body_part, "applied": " ".join(picture.applied), "image_score": score,
        "family_scores": [score] * 4, "map_max": mask.map_max, "map_mean": mask.map_mean,
        "area_fraction": mask.area_fraction, "mask": mask.mask, "mask_encoding": mask.mask_encoding,
        "token_map": tokens.tobytes(), "grid": GRID, "side": SIDE, "smooth": True, "map_layers": None,
    }  # fmt: skip


def _contrast(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return by how many grey levels a picture differs from its surroundings, float32 (GRID, GRID)."""
    grey = pixels.astype(np.float32).reshape(*pixels.shape[:2], -1).mean(2)
    difference = gaussian_filter(np.abs(gaussian_filter(grey, 2) - gaussian_filter(grey, 14)), 3)
    scales = (GRID / grey.shape[0], GRID / grey.shape[1])
    return np.maximum(zoom(difference, scales, order=1), 0).astype(np.float32)


def path_of(kind: str, screened: Screened, name: str, index: int = 0) -> str:
    """Return the address of a slice's picture, thumbnail or map."""
    object_id = screened.ids[name]
    run = FIRST if run_of(screened, object_id) == FIRST else SECOND
    place = f"{object_id}/{index}?settings={SETTINGS}"
    return f"/map/{place}" if kind == "map" else f"/{kind}/{run}/{place}"


def run_of(screened: Screened, object_id: str) -> str:
    query = f"SELECT run_id FROM objects WHERE object_id = '{object_id}'"
    return str(open_results(str(screened.output)).sql(query).fetchall()[0][0])
