"""Streams that are closed, or that nobody reads, do not end the work; log lines are lines."""

import json
import logging
import subprocess
import sys

import pytest

from s2sw.jobs.logs import LogFormat, configure_logs

TALKER = """
import sys
from s2sw.jobs.streams import shield_streams
shield_streams()
for number in range(20_000):
    print("a line of some length", number)
    print("another one", number, file=sys.stderr)
sys.stdout.flush()
sys.exit(7)
"""


@pytest.mark.parametrize(
    "redirect", ["| head -n 1", ">&-", "2>&-", ">&- 2>&-", "2>&1 | head -n 1", ">/dev/full"]
)
def test_whoever_stops_listening_does_not_stop_the_work(redirect: str) -> None:
    command = ["bash", "-c", f'set -o pipefail; "$0" -c "$1" {redirect}', sys.executable, TALKER]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert "Error" not in done.stderr


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    log = logging.getLogger("s2sw.pipeline.run.progress")
    log.info("%s", "listing " * 40)
    log.warning("two\nlines")
    log.debug("a detail")
    assert capsys.readouterr().err.splitlines() == ["listing " * 40, "s2sw: two lines"]


def test_lines_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogFormat.JSON)
    logging.getLogger("s2sw.pipeline").info("5 of 9", extra={"fields": {"event": "progress", "objects": 5}})
    line = json.loads(capsys.readouterr().err)
    assert (line["message"], line["event"], line["objects"], line["level"]) == (
        "5 of 9",
        "progress",
        5,
        "info",
    )
    assert line["time"].endswith("+00:00")


@pytest.mark.parametrize(("options", "levels"), [({"quiet": True}, 1), ({}, 2), ({"verbose": 1}, 3)])
def test_how_much_is_said(options: dict[str, int], levels: int, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(**options)
    log = logging.getLogger("s2sw")
    log.warning("a"), log.info("b"), log.debug("c")
    assert len(capsys.readouterr().err.splitlines()) == levels
