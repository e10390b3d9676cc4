"""Only codes of the closed lists are written down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.schemas.codes import BODY_PARTS, MODALITIES, OTHER, allowed


@pytest.mark.parametrize(
    ("code", "written"), [("CT", "CT"), (" mr ", "MR"), ("", ""), ("  ", ""), ("DOE^JANE", "other")]
)
def test_codes(code: str, written: str) -> None:
    assert allowed(code, MODALITIES) == written


@given(st.text())
def test_nothing_else_gets_through(code: str) -> None:
    assert allowed(code, BODY_PARTS) in BODY_PARTS | {"", OTHER}
