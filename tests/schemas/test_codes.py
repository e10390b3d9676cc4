"""Only codes of the closed lists are written down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.schemas.codes import (
    BODY_PARTS,
    LATERALITIES,
    MODALITIES,
    OTHER,
    SERIES_KINDS,
    VIEWS,
    all_allowed,
    allowed,
)
from s2sw.schemas.forms import WORDS


@pytest.mark.parametrize(
    ("code", "written"), [("CT", "CT"), (" mr ", "MR"), ("", ""), ("  ", ""), ("DOE^JANE", "other")]
)
def test_codes(code: str, written: str) -> None:
    assert allowed(code, MODALITIES) == written


@given(st.text())
def test_nothing_else_gets_through(code: str) -> None:
    assert allowed(code, BODY_PARTS) in BODY_PARTS | {"", OTHER}


@pytest.mark.parametrize(
    ("codes", "written"),
    [
        (("", "se", "IR ", "SE"), "SE-IR"),
        (("DOE^JANE", "GR"), "GR"),
        (("DOE^JANE", "M"), "other"),
        (("", " "), ""),
        ((), ""),
    ],
)
def test_several_codes_are_joined_and_what_is_no_code_is_left_out(
    codes: tuple[str, ...], written: str
) -> None:
    assert all_allowed(codes, SERIES_KINDS) == written


def test_every_code_fits_into_the_name_of_a_group() -> None:
    codes = {*MODALITIES, *BODY_PARTS, *VIEWS, *LATERALITIES, *SERIES_KINDS}
    assert [code for code in codes if not WORDS.fullmatch(code) or "/" in code or code != code.upper()] == []
