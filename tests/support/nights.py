"""Nights of generated objects: with masks, studies, patients, and places in a series."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import numpy as np

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.imaging.masks import encode_mask
from s2sw.pipeline.ledger.writer import Writer
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.schemas.config import PartSettings
from tests.support.finished_runs import SETTINGS, summarise, write_run
from tests.support.rows import made_id, screened, stored

STUDY, SERIES, PATIENT = "s" * 26, "r" * 26, "p" * 26


def with_masks(
    finished: FinishedObject, shares: list[float], planes: list[str] | None = None
) -> FinishedObject:
    for place, (row, share) in enumerate(zip(finished.slices, shares, strict=True)):
        row["area_fraction"] = share
        inside = 24 * share > np.arange(24).reshape(6, 4).T  # of 4 x 6 pixels, from the left
        row["mask"], row["mask_encoding"] = encode_mask(inside)
        row["plane"] = planes[place] if planes else "axial"
    return finished


def night(folder: Path, run_id: str, objects: list[FinishedObject], ids: Sequence[str | None] = ()) -> None:
    """Commit objects; the digest that stands for a study is its name here.

    ids: of the first of them, those of objects that are screened again.
    """
    output = LocalOutput(folder)
    constants = {"bundle": "b", "fingerprint": SETTINGS, "run_id": run_id, "threshold": 0.5}
    writer = Writer(
        output,
        PartSettings(),
        constants,
        keep_uri=False,
        uid_ids=lambda uids: {
            name: uid.decode() for name, uid in zip(("study_id", "series_id"), uids, strict=False)
        },
    )
    for (number, finished), own in zip_longest(enumerate(objects), ids):
        writer.add(finished, own or made_id(run_id, number), stored(number))
    writer.commit()
    write_run(output, summarise(objects, run_id))


def usual(count: int, seed: int = 0) -> list[FinishedObject]:
    scores = np.random.default_rng(seed).beta(2, 8, (count, 4))
    return [screened(number, *map(float, own)) for number, own in enumerate(scores)]


def in_series(
    number: int, height: float, score: float, share: float, instance: int = 0, step: float = 0.5
) -> FinishedObject:
    """Return a file of a series: an oblique slice, its place along the normal in mm."""
    finished = with_masks(screened(number, score), [share])
    (row,) = finished.slices
    row["image_orientation"] = [1.0, 0.0, 0.0, 0.0, 0.8, 0.6]
    row["image_position"] = [5.0, -0.6 * height, 0.8 * height]
    row["pixel_spacing"], row["instance_number"] = [step, 0.25], float(instance)
    return replace(finished, uids=(STUDY.encode(), SERIES.encode()))
