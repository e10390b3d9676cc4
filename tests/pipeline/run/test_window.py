"""A time window is a time of the day or a duration."""

from datetime import datetime

import pytest

from s2sw.pipeline.run.window import parse_until

NOW = datetime(2026, 3, 10, 22, 30)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("22:31", 1 / 60),
        ("22:30", 24),
        ("06:00", 7.5),
        ("6:00", 7.5),
        ("0:00", 1.5),
        ("90m", 1.5),
        ("2h", 2),
        ("1h30m", 1.5),
        ("45s", 45 / 3600),
        ("0s", 0),
        ("36h", 36),
    ],
)
def test_until(text: str, hours: float) -> None:
    assert parse_until(text, NOW) - NOW.timestamp() == pytest.approx(hours * 3600)


@pytest.mark.parametrize(
    "text", ["", "6", "6:0", "24:00", "12:60", "m", "-5m", "1h 30m", "30m1h", "soon", "9" * 11 + "h"]
)
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"until: .* like 06:00 nor a duration like 90m") as refusal:
        parse_until(text, NOW)
    assert repr(text) in str(refusal.value)
