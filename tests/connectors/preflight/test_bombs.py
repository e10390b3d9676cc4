"""Every bomb is refused with its reason, and none of them costs memory."""

import subprocess
import sys

import pytest

from s2sw.connectors.archives.members import members
from s2sw.connectors.decode import decode
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.outcomes import ScreeningError
from tests.support.archive_bombs import ARCHIVES
from tests.support.bombs import DECODED, HARMLESS
from tests.support.raster_bombs import RASTERS

SETTINGS = DecodeSettings()
BOMBS = DECODED | RASTERS
PEAK_MIB = 500


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused(name: str) -> None:
    make, reason = BOMBS[name]
    with pytest.raises(ScreeningError) as caught:
        list(decode(make(), SETTINGS)[1])
    assert caught.value.reason is reason


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_like_a_bomb_decodes(name: str) -> None:
    assert list(decode(HARMLESS[name](), SETTINGS)[1])


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_are_refused(name: str) -> None:
    make, reason = ARCHIVES[name]
    with pytest.raises(ScreeningError) as caught:
        list(members(make(), SETTINGS))
    assert caught.value.reason is reason


def test_all_bombs_together_stay_below_500_mb() -> None:
    """In a process of their own, making the bombs included."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.decode_bombs", "--peak"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert int(done.stdout.split()[-1]) < PEAK_MIB


@pytest.mark.parametrize("name", ["native", "rle"])
def test_an_honest_frame_of_268_mb_passes(name: str) -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks.decode_bombs", "--honest", name],
                          capture_output=True, text=True, check=True)  # fmt: skip
    shape, peak = done.stdout.rsplit(" ", 1)
    assert shape == "16384 16384"
    assert int(peak) < 2000
