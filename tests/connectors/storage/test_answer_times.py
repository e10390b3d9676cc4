"""Times in answers are those that botocore reads."""

import pytest
from botocore.utils import parse_timestamp  # type: ignore[import-untyped]

from s2sw.connectors.storage.answer_times import _parsed


@pytest.mark.parametrize(
    "value",
    ["2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+02:00", "2026-01-02T03:04:05",
     "Fri, 02 Jan 2026 03:04:05 GMT", "20260102T030405Z", 1767322800, 1767322800.25],
)  # fmt: skip
def test_times_are_botocores(value: object) -> None:
    found, expected = _parsed(value), parse_timestamp(value)
    assert (found, found.utcoffset()) == (expected, expected.utcoffset())


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        _parsed("yesterday")
