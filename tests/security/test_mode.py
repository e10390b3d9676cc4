"""One word in a file does not turn private mode off, and nothing is revealed that seals do not vouch for."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.results.mode import results_are_private
from s2sw.pipeline.results.reading import Results
from tests.security.forged import everything, export, forge
from tests.support.screened import Screened


def open_word(screened: Screened) -> None:
    for path in (screened.output / "runs").glob("*.json"):
        record = json.loads(path.read_text())
        record["configuration" if "configuration" in record else "config"]["mode"] = "open"
        path.write_text(json.dumps(record).replace('"private"', '"open"'))


def no_records(screened: Screened) -> None:
    for path in (screened.output / "runs").glob("*.json"):
        path.unlink()


def open_log(screened: Screened) -> None:
    open_word(screened)
    for path in (screened.output / "audit").iterdir():
        entry = json.loads(path.read_text()) | {"key_id": None, "mode": "open"}
        path.write_text(json.dumps(entry, sort_keys=True, separators=(",", ":")) + "\n")


def no_log(screened: Screened) -> None:
    open_word(screened)
    for path in (screened.output / "audit").iterdir():
        path.unlink()


def broken_records(screened: Screened) -> None:
    for path in (screened.output / "runs").glob("*.json"):
        path.write_text("{")


@pytest.mark.parametrize("attack", [open_word, no_records, open_log, no_log, broken_records])
def test_private_results_stay_private(
    ward: Screened, tmp_path: Path, attack: Callable[[Screened], None]
) -> None:
    attack(ward)
    output = LocalOutput(ward.output)
    connection = None if attack is broken_records else Results(output).connect()
    assert results_are_private(output, connection)
    for number, asked in enumerate(([], ["--reveal", "pixels"])):
        done = export(ward, tmp_path / str(number), "-f", "png", *asked)
        assert done.exit_code in (1, 2), done.output
        assert not everything(tmp_path / str(number))


def test_addresses_put_in_do_not_help(ward: Screened, tmp_path: Path) -> None:
    """All traces of private mode gone: ids that are keyed are compared, and name nothing of the crosswalk."""
    open_log(ward)
    forge(ward, "objects", lambda _: {"uri": "/nowhere"})
    assert not results_are_private(LocalOutput(ward.output), Results(LocalOutput(ward.output)).connect())
    done = export(ward, tmp_path / "out", "-f", "csv")
    assert str(ward.archive) not in "".join(path.read_text() for path in (tmp_path / "out").rglob("*.csv")), (
        done.output
    )


def test_what_the_seals_vouch_for_is_revealed(ward: Screened, tmp_path: Path) -> None:
    done = export(ward, tmp_path / "out", "-f", "png", "--reveal", "pixels")
    assert done.exit_code == 0, done.output
    assert list((tmp_path / "out").rglob("*.png"))
