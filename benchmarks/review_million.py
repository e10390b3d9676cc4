"""The review page over a million generated slices: seconds a page, and memory.

    python -m benchmarks.review_million [--rows 1000000] [--grid 37] [--results DIR] [--out FILE.json]

Slices are written as a run writes them, token maps and masks included, of ViT-L/14 at 518 pixels (37 x 37) by
default: about 3 GB a million in a temporary folder, or in --results, where they are kept and used again; with
--grid 24, the embedded detector's, 1.7 GB. The server is
``s2sw review`` in a process of its own; each page is asked for three times. Printed are the slowest, and the
seconds of CPU that the server took for one, which say more on a machine that does other work too. The first
page is also asked for right after the start. Files are in the system's cache.
"""

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.flagging.decisions import Decision, append
from s2sw.schemas.decisions import DecisionKind
from s2sw.schemas.layout import part_name
from s2sw.schemas.tables import OBJECTS, SLICES

PART_ROWS = 20_000
VOLUME = 100  # slices of a volume; three slices of ten are of volumes
GRID = 37
FINGERPRINT = "f" * 32
RUNS = [f"202607{day:02}T010000-{day:06}" for day in (1, 2, 3)]
SITES = ("north", "south")
MODALITIES = np.array(["CT", "MR", "DX", "MG", ""])
DECISIONS = 5000
TIMES = 3


@dataclass(frozen=True)
class Part:
    """What the rows of one part belong to."""

    run_id: str
    site: str
    ids: NDArray[np.str_]
    slices: NDArray[np.int32]
    counts: NDArray[np.int32]

    @property
    def place(self) -> dict[str, object]:
        """The columns of site and day."""
        return {"site": self.site, "date": datetime.strptime(self.run_id[:8], "%Y%m%d").date()}


def random_ids(rng: np.random.Generator, count: int) -> NDArray[np.str_]:
    letters = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz234567", np.uint8)
    return letters[rng.integers(0, 32, (count, 26))].view("S26").ravel().astype(str)


def parts(rows: int, rng: np.random.Generator) -> Iterator[Part]:
    for number in range(rows // PART_ROWS):
        single = PART_ROWS * 7 // 10
        volumes = (PART_ROWS - single) // VOLUME
        ids, inside = random_ids(rng, single + volumes), np.arange(VOLUME, dtype=np.int32)
        yield Part(
            RUNS[number * len(RUNS) * PART_ROWS // rows],
            SITES[number % 2],
            np.concatenate([ids[:single], np.repeat(ids[single:], VOLUME)]),
            np.concatenate([np.zeros(single, np.int32), np.tile(inside, volumes)]),
            np.concatenate([np.ones(single, np.int32), np.full(volumes * VOLUME, VOLUME, np.int32)]),
        )


def binary(values: NDArray[np.uint8]) -> pa.Array:
    """Return rows of equal length, uint8 (N, bytes), as a column of bytes."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.Array.from_buffers(
        pa.binary(), len(values), [None, pa.py_buffer(offsets), pa.py_buffer(values.tobytes())]
    )


def slices_table(part: Part, grid: int, rng: np.random.Generator) -> pa.Table:
    count = len(part.ids)
    score = rng.beta(2, 6, count).astype(np.float32)
    maps = (rng.random((count, grid * grid), np.float32) * score[:, None]).astype(np.float16)
    constant = {
        "plane": "image", "rows": 512, "cols": 512, "threshold": 0.5, "mask_encoding": "coco_rle",
        "grid": grid, "side": 518, "smooth": True, "body_part": "CHEST", "applied": "rescale window",
        "bundle": "b" * 64, "fingerprint": FINGERPRINT, "run_id": part.run_id, **part.place,
    }  # fmt: skip
    columns = {name: np.full(count, value) for name, value in constant.items()} | {
        "object_id": part.ids, "slice_index": part.slices, "n_slices": part.counts, "image_score": score,
        "family_scores": list(np.repeat(score[:, None], 4, 1)), "map_max": score, "map_mean": score / 4,
        "area_fraction": score / 8, "mask": binary(rng.integers(48, 111, (count, 450), np.uint8)),
        "token_map": binary(maps.view(np.uint8)), "tiles": [[]] * count,
        "modality": MODALITIES[rng.integers(0, len(MODALITIES), count)],
    }  # fmt: skip
    return table(columns, SLICES)


def objects_table(part: Part, slices: pa.Table, name: str) -> pa.Table:
    frame = slices.select(["object_id", "slice_index", "image_score"]).to_pandas()
    best = frame.loc[frame.groupby("object_id")["image_score"].idxmax()]
    counts = dict(zip(part.ids.tolist(), part.counts.tolist(), strict=True))
    count = len(best)
    columns = {
        "object_id": best["object_id"], "status": np.full(count, "screened"), "attempts": np.ones(count),
        "n_slices": [counts[one] for one in best["object_id"]], "max_score": best["image_score"],
        "max_slice": best["slice_index"], "bytes": np.full(count, 524_288), "part": np.full(count, name),
        "decoder": np.full(count, "dicom"), "fingerprint": np.full(count, FINGERPRINT),
        "run_id": np.full(count, part.run_id),
    } | {name: np.full(count, value) for name, value in part.place.items()}  # fmt: skip
    return table(columns, OBJECTS)


def table(columns: dict[str, object], schema: pa.Schema) -> pa.Table:
    count = len(columns["object_id"])  # type: ignore[arg-type]
    arrays = [
        pa.array(columns[field.name]).cast(field.type)
        if field.name in columns
        else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def generate(output: Path, rows: int, grid: int = GRID) -> None:
    """Write the results and some decisions. grid: of the token maps, tokens a side."""
    rng = np.random.default_rng(8)
    some: list[str] = []
    for number, part in enumerate(parts(rows, rng)):
        name = part_name(part.run_id, number)
        slices = slices_table(part, grid, rng)
        for folder, content in (("slices", slices), ("objects", objects_table(part, slices, name))):
            path = output / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(content, path, compression="zstd", compression_level=1)
        some += part.ids[: DECISIONS * PART_ROWS // rows].tolist()
    kinds = [DecisionKind.ACCEPT, DecisionKind.REJECT, DecisionKind.UNSURE]
    now = datetime.now(UTC)
    append(
        LocalOutput(output),
        (Decision(one, 0, FINGERPRINT, kinds[i % 3], "ada", now, 0.5) for i, one in enumerate(some)),
    )


@dataclass(frozen=True)
class Page:
    """The running page for who has opened its address. root: what all its addresses begin with."""

    process: psutil.Process
    host: str
    root: str
    cookie: str
    start: float

    @classmethod
    def opened(cls, process: psutil.Process, address: str, start: float) -> "Page":
        """Open the printed address. start: seconds until it was printed."""
        parsed = urlsplit(address)
        connection = http.client.HTTPConnection(parsed.netloc)
        connection.request("GET", f"{parsed.path}?{parsed.query}")
        answer = connection.getresponse()
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return cls(process, parsed.netloc, answer.headers["Location"].rstrip("/"), cookie, start)

    def get(self, path: str) -> tuple[float, str]:
        """Ask for a page; return the seconds until all of it was there, and its text."""
        connection = http.client.HTTPConnection(self.host)
        started = time.monotonic()
        connection.request("GET", path, headers={"Cookie": self.cookie})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        seconds = time.monotonic() - started
        connection.close()
        assert answer.status == 200, (path, answer.status, text[:2000])
        return seconds, text


@contextmanager
def server(output: Path) -> Iterator[Page]:
    """Start the page and open it."""
    command = [str(Path(sys.executable).with_name("s2sw")), "review", str(output), "--no-pictures"]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout
        found = re.search(r"http\S+\?token=\S+", process.stdout.readline())
        assert found
        seconds = time.monotonic() - started
        try:
            yield Page.opened(psutil.Process(process.pid), found[0], seconds)
        finally:
            process.terminate()


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def measure(output: Path) -> dict[str, float]:
    """Return seconds by page, and megabytes."""
    with server(output) as page:
        process, root = page.process, page.root
        result = {"start": page.start}
        used = cpu(process)
        result["first page, cold"], text = page.get(f"{root}/slices")
        result["first page, cold, CPU"] = cpu(process) - used
        pages = {"first page": f"{root}/slices"} | {
            f"filter {name}": f"{root}/slices?{query}"
            for name, query in {
                "score": "low=0.6&high=0.7", "modality": "modality=CT", "site": "site=north",
                "day": "first=2026-07-02&last=2026-07-02", "undecided": "decision=none",
                "accepted": "decision=accept", "highest slice": "highest=1", "by area": "order=area",
                "all at once": "low=0.3&site=south&modality=MR&decision=open&highest=1&first=2026-07-02",
            }.items()
        }  # fmt: skip
        first = re.search(r'class="card" href="([^"?]+/slice/[^"?]+)', text)
        following = re.search(r'href="([^"?]+/slices\?[^"]*after=[^"]+)"', text)
        assert first
        assert following
        pages |= {"second page": following[1].replace("&amp;", "&"), "one slice": first[1]}
        pages["deep page"] = re.sub(r"after=[^&]+", "after=0.1%2C0%2Cm", pages["second page"])
        pages["map of a slice"] = first[1].replace("/slice/", "/map/") + f"?settings={FINGERPRINT}"
        pages["not screened"] = f"{root}/objects"
        for name, path in pages.items():
            used = cpu(process)
            result[name] = max(page.get(path)[0] for _ in range(TIMES))
            result[f"{name}, CPU"] = (cpu(process) - used) / TIMES
        result["memory"] = process.memory_info().rss / 1e6
        peak = Path(f"/proc/{process.pid}/status").read_text()
        result["memory, highest"] = int(re.search(r"VmHWM:\s+(\d+)", peak)[1]) * 1024 / 1e6  # type: ignore[index]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--grid", type=int, default=GRID, help="of the token maps, tokens a side")
    parser.add_argument("--results", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = arguments.results or Path(folder) / "results"
        if not output.exists():
            generate(output, arguments.rows, arguments.grid)
        size = sum(path.stat().st_size for path in output.rglob("*.parquet"))
        print(f"{size / 1e9:.2f} GB of results")
        result = measure(output)
    for name, value in result.items():
        unit = "MB" if "memory" in name else "s"
        print(f"{name:28} {value:8.2f} {unit}")
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
