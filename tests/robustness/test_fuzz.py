"""A slice of the fuzz campaign, and the files that killed decoders elsewhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.robustness.fuzz import campaign

POISON = Path(__file__).resolve().parents[3] / "shared" / "data" / "poison"
INPUTS = 2000


def test_two_thousand_mutated_files_end_in_one_status_each() -> None:
    found = campaign(INPUTS, hang_seconds=60)  # a busy machine is no hang
    assert (found.lost, found.hung, found.escaped) == ([], [], [])
    assert found.inputs == INPUTS
    assert found.peak_mib < 2000
    # a campaign that only ever refuses, or never does, would prove nothing
    assert found.outcomes["screened"] > INPUTS // 20
    assert found.outcomes["malformed"] > INPUTS // 20
    assert set(found.kinds) == {
        "dicom", "raster", "png", "tiff", "jxl", "avif", "gif", "pnm", "nifti", "gzip", "zip", "tar",
    }  # fmt: skip


def test_files_that_killed_other_decoders_are_survived() -> None:
    files = sorted(POISON.glob("*.dcm"))
    if not files:
        pytest.skip("no folder of poison files beside the repository")
    program = (
        "import sys, json; from pathlib import Path; from tests.robustness.fuzz import outcome;"
        "from s2sw.schemas.decoding import DecodeSettings;"
        "print(json.dumps([outcome(Path(p).read_bytes(), DecodeSettings()) for p in sys.argv[1:]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, files)], capture_output=True, text=True, check=True
    )
    outcomes = json.loads(done.stdout)
    assert len(outcomes) == len(files)
    assert not [ended for ended in outcomes if ended.startswith("escaped")]
