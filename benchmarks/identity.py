"""What keyed ids cost of a run.

    .venv/bin/python -m benchmarks.identity

Sets the CPU time of an id against that of reading, decoding and scoring a small picture with the embedded
detector. That one is far smaller than a real detector, with which the share is smaller still.
"""

import tempfile
import time
from pathlib import Path

from s2sw.connectors.decode import decode
from s2sw.model import load_detector
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.pipeline.privacy.ids import object_ids
from s2sw.schemas.decoding import DecodeSettings
from tests.support.archives import encoded, texture

OBJECTS = 200
IDS = 200_000


def seconds_an_id() -> float:
    make = object_ids(bytes(32))
    started = time.process_time()
    for number in range(IDS):
        make(f"s3://archive/ward-3/2026/{number:012}.dcm", "9f86d081884c7d659a2feaa0c55ad015")
    return (time.process_time() - started) / IDS


def seconds_an_object(folder: Path) -> float:
    """Read, decode and score one picture after another: what a run does to each object at the least."""
    for number in range(OBJECTS):
        (folder / f"{number}.png").write_bytes(encoded(texture(128, 128, number), "PNG"))
    detector = load_detector(resolve_bundle("embedded"))
    started = time.process_time()
    for number in range(OBJECTS):
        _, slices = decode((folder / f"{number}.png").read_bytes(), DecodeSettings())
        for picture in slices:
            detector.detect(picture.pixels[None].copy())
    return (time.process_time() - started) / OBJECTS


def main() -> None:
    one_id = seconds_an_id()
    with tempfile.TemporaryDirectory() as folder:
        one_object = seconds_an_object(Path(folder))
    print(f"an id takes {one_id * 1e6:.1f} us of CPU, an object {one_object * 1e3:.1f} ms")
    print(f"ids take {one_id / one_object:.4%} of the work")


if __name__ == "__main__":
    main()
