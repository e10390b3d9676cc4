"""What the summary of the benchmarks is made of, and that the page shows what was measured."""

import importlib.util
from pathlib import Path

import pytest

from benchmarks import figures, performance_page, summary
from benchmarks.figures import Figure, note, noted
from benchmarks.performance_page import Measured, table


def test_figures_come_back_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note("nobody asks", 1.0)
    place = tmp_path / "figures"
    assert noted(place) == []
    monkeypatch.setenv(figures.FILE, str(place))
    note("speed", 4.5, at_least=5)
    note("memory", 400, "MiB", at_most=500)
    note("plain", 2)
    speed, memory, plain = noted(place)
    assert (speed.ratio, memory.ratio, plain.ratio) == (0.9, 1.25, None)
    assert (memory.unit, memory.at_least, plain.bar) == ("MiB", False, None)


def test_a_missed_bar_stands_out() -> None:
    found = [(Figure("speed", 4.5, "x", 5), "run it"), (Figure("memory", 400, "MiB", 500, False), "or this")]
    lines = table(Measured("amx", "a machine", "2", "1", "2026-01-01", 0.1, found)).splitlines()
    assert lines[2:] == [
        "| speed | 4.5 x | at least 5 | **0.90** | `run it` |",
        "| memory | 400 MiB | at most 500 | 1.25 | `or this` |",
    ]


def test_a_benchmark_that_fails_gives_nothing_and_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert summary.run(summary.Short("decode_speed", ("--rounds", "no"))) == []
    said = capfd.readouterr().err
    assert "python -m benchmarks.decode_speed --rounds no" in said
    assert "failed (2)" in said


@pytest.mark.parametrize("short", summary.SHORT, ids=lambda short: short.name)
def test_each_benchmark_leaves_figures(short: summary.Short) -> None:
    spec = importlib.util.find_spec(f"benchmarks.{short.name}")
    assert spec is not None
    assert spec.origin is not None
    assert "note(" in Path(spec.origin).read_text()


def test_the_page_shows_what_was_measured() -> None:
    _, _, rest = performance_page.PAGE.read_text().partition(performance_page.BEGIN)
    shown, end, _ = rest.partition(performance_page.END)
    assert end
    assert shown.strip() == performance_page.section().strip()
