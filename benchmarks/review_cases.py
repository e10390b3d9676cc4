"""The list of cases over a million generated ones: python -m benchmarks.review_cases [--rows 1000000]

One night of objects of one slice each, each a case, ranked by a profile, with decisions on some of the list.
Printed are, of each page, the slowest of three requests, the CPU seconds of this process for the costliest
and for the cheapest of them, and the memory at its highest. The page is served in this process.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.review_million import FINGERPRINT, RUNS, random_ids, table
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.evidence.worklist import Value, Worklist, write
from s2sw.pipeline.flagging.decisions import Decision, append
from s2sw.pipeline.review.media import Switches
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.layout import CASES_FOLDER, part_name
from s2sw.schemas.profile import MOST_PICTURES
from s2sw.schemas.tables import CASES, OBJECTS, SIMILAR_PICTURES, SLICES
from tests.pipeline.review.serving import Client, served

RUN = RUNS[0]
PART_ROWS = 100_000
LISTED, DECIDED = 10_000, 2000
TIMES = 3
SHOWN = 4  # usual pictures that a slice names


def generate(output: Path, rows: int) -> None:
    """Write one night, its list of cases and some decisions."""
    rng = np.random.default_rng(3)
    ids, scores = random_ids(rng, rows), np.sort(rng.beta(2, 6, rows).astype(np.float32))[::-1]
    for number, start in enumerate(range(0, rows, PART_ROWS)):
        part = slice(start, start + PART_ROWS)
        _part(output, part_name(RUN, number), ids[part], scores[part], _similar(rng, ids, len(ids[part])))
    write(
        LocalOutput(output),
        Worklist(RUN, _cases(ids, scores), Value(LISTED, rows, 0, None, 0, 0)),
        CASES_FOLDER,
    )
    now = datetime.now(UTC)
    said = (
        Decision(one, 0, FINGERPRINT, DecisionKind.ACCEPT, "ada", now, 0.5) for one in ids[:DECIDED].tolist()
    )
    append(LocalOutput(output), said)


def _similar(rng: np.random.Generator, ids: np.ndarray, count: int) -> pa.Array:  # type: ignore[type-arg]
    """Return the usual pictures beside so many slices: four of a bank."""
    bank = np.sort(ids)[:MOST_PICTURES]
    chosen = pa.array(bank[rng.integers(0, len(bank), SHOWN * count)], pa.string())
    places = pa.StructArray.from_arrays(
        [chosen, pa.array(np.zeros(SHOWN * count), pa.int32())], fields=list(SIMILAR_PICTURES.value_type)
    )
    return pa.ListArray.from_arrays(pa.array(np.arange(count + 1) * SHOWN, pa.int32()), places)


def _part(
    output: Path,
    name: str,
    ids: np.ndarray,  # type: ignore[type-arg]
    scores: np.ndarray,  # type: ignore[type-arg]
    similar: pa.Array,
) -> None:
    count = len(ids)
    both = {
        "object_id": ids, "n_slices": np.ones(count), "fingerprint": np.full(count, FINGERPRINT),
        "run_id": np.full(count, RUN),
    }  # fmt: skip
    constant = {
        "slice_index": 0, "plane": "image", "rows": 512, "cols": 512, "map_max": 0.5, "map_mean": 0.1,
        "area_fraction": 0.1, "threshold": 0.5, "mask": b"h0", "mask_encoding": "coco_rle",
        "token_map": b"", "grid": 2, "side": 28, "smooth": True, "modality": "CT", "body_part": "",
        "applied": "",
        "bundle": "b",
    }  # fmt: skip
    repeated = {key: pa.array([value] * count) for key, value in constant.items()}
    own = {
        "image_score": scores, "rank_score": scores, "rarity_score": scores, "group": ["CT/-/image"] * count,
        "family_scores": [[0.5] * 4] * count, "tiles": [[]] * count, "similar_pictures": similar,
    }  # fmt: skip
    pq_write(output / "slices" / name, table({**both, **repeated, **own}, SLICES))
    facts = {
        "status": "screened", "attempts": 1, "max_slice": 0, "bytes": 1, "decoder": "png", "part": name,
    }  # fmt: skip
    repeated = {key: pa.array([value] * count) for key, value in facts.items()}
    pq_write(output / "objects" / name, table({**both, **repeated, "max_score": scores}, OBJECTS))


def _cases(ids: np.ndarray, scores: np.ndarray) -> pa.Table:  # type: ignore[type-arg]
    count = len(ids)
    rank = np.arange(1, count + 1)
    pairs = zip(ids.tolist(), scores.tolist(), strict=True)
    worst = [[{"object_id": one, "slice_index": 0, "score": score}] for one, score in pairs]
    constant = {
        "level": "object", "n_objects": 1, "n_slices": 1, "n_findings": 0, "group": "CT/image",
        "n_past": count,
        "first_night": False, "fingerprint": FINGERPRINT, "run_id": RUN,
    }  # fmt: skip
    columns = {key: pa.array([value] * count) for key, value in constant.items()} | {
        "rank": rank, "listed": rank <= LISTED, "case_id": ids, "worst": worst, "findings": [[]] * count,
        "score": scores, "p_value": rank / count, "q_value": rank / count, "q_group": rank / count,
    }  # fmt: skip
    return table({"object_id": ids, **columns}, CASES)


def pq_write(path: Path, content: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(content, path, compression="zstd", compression_level=1)


def measured(page: Client, rows: int) -> Iterator[tuple[str, float, list[float]]]:
    """Yield the pages with the slowest of their requests, in seconds, and CPU seconds of all."""
    first = (
        page.get("/").text.partition('class="card case" href="')[2].partition('"')[0].replace("&amp;", "&")
    )
    paths = {
        "first page": "/", "a page from the middle": f"/?every=1&after={rows // 2}",
        "not decided by me": "/?decision=open", "a case": first,
    }  # fmt: skip
    for name, path in paths.items():
        seconds, busy = [], []
        for _ in range(TIMES):
            started, before = time.monotonic(), time.process_time()
            answer = page.get(path)
            seconds.append(time.monotonic() - started)
            busy.append(time.process_time() - before)
            assert answer.status == 200, (path, answer.status)
        yield name, max(seconds), busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "results"
        generate(output, arguments.rows)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with served(output, Path(folder) / "private", switches=Switches(pictures=False)) as page:
            for name, seconds, busy in measured(page, arguments.rows):
                print(f"{name:28} {seconds:8.2f} s, of the processor {max(busy):.2f} to {min(busy):.2f} s")
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"memory at its highest: {before:.0f} MB after the rows were made, {after:.0f} MB at the end")


if __name__ == "__main__":
    main()
