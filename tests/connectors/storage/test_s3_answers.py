"""What answers say is what botocore reads in them."""

import asyncio
from typing import Any

import botocore.handlers  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
import pytest
from aiobotocore.parsers import AioResponseParserFactory
from aiobotocore.session import AioSession
from botocore.utils import parse_timestamp  # type: ignore[import-untyped]

from s2sw.connectors.storage.s3_answers import _parsed, session_of_quick_listings


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


KEY = "<Key>a%20b/&#235;</Key>"
TIME = "<LastModified>2026-01-02T03:04:05.678Z</LastModified>"
TAG = "<ETag>&quot;0f&quot;</ETag>"
SIZE = "<Size>17</Size>"
PLAIN = KEY + TIME + TAG + SIZE


def listed(parsers: Any, entries: str, namespace: str = "") -> Any:
    """Return what a client reads in a page with these entries."""
    shape = (
        botocore.session.get_session().get_service_model("s3").operation_model("ListObjectsV2").output_shape
    )
    inside = "".join(f"<Contents>{entry}</Contents>" for entry in entries.split("|"))
    body = f"<ListBucketResult{namespace}><KeyCount>1</KeyCount>{inside}</ListBucketResult>".encode()
    answer = {"body": body, "headers": {}, "status_code": 200, "context": {}}
    return asyncio.run(parsers.create_parser("rest-xml").parse(answer, shape))


@pytest.mark.parametrize("namespace", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
@pytest.mark.parametrize(
    "entries",
    [
        PLAIN,
        f"{PLAIN}|{SIZE}{KEY}|",
        f"{PLAIN}<StorageClass>STANDARD</StorageClass><ChecksumType>FULL_OBJECT</ChecksumType>",
        f"{PLAIN}<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>",
        f"{PLAIN}<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumAlgorithm>SHA1</ChecksumAlgorithm>",
        f"{PLAIN}<Owner><DisplayName>me</DisplayName><ID>75</ID></Owner>",
        f"{PLAIN}<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>",
        f"{PLAIN}<Unknown>1</Unknown>|{PLAIN}",
        "<Key/><ETag></ETag><Size>0</Size>",
    ],
)  # fmt: skip
def test_entries_are_botocores(entries: str, namespace: str) -> None:
    quick = session_of_quick_listings().get_component("response_parser_factory")
    found = listed(quick, entries, namespace)
    assert found == listed(AioResponseParserFactory(), entries, namespace)
    assert len(found["Contents"]) == entries.count("|") + 1


def test_of_a_key_that_is_there_twice_the_first_one_counts() -> None:
    """botocore would give a list of XML elements."""
    quick = session_of_quick_listings().get_component("response_parser_factory")
    assert listed(quick, "<Key>another</Key>" + PLAIN)["Contents"][0]["Key"] == "another"


@pytest.mark.parametrize("entry", ["<Size>seventeen</Size>", "<LastModified>soon</LastModified>"])
def test_an_entry_that_botocore_refuses_is_refused(entry: str) -> None:
    for parsers in (
        session_of_quick_listings().get_component("response_parser_factory"),
        AioResponseParserFactory(),
    ):
        with pytest.raises(ValueError, match=r"seventeen|soon"):
            listed(parsers, entry)


def status_of(session: AioSession, body: bytes) -> int:
    """Return the status that an answer with this body is taken for, which said 200."""
    model = botocore.session.get_session().get_service_model("s3").operation_model("ListObjectsV2")
    answer = {"body": body, "headers": {}, "status_code": 200, "context": {}}
    events = session.get_component("event_emitter")
    asyncio.run(
        events.emit(
            "before-parse.s3.ListObjectsV2",
            operation_model=model, response_dict=answer, customized_response_dict={},
        )
    )  # fmt: skip
    return int(answer["status_code"])  # type: ignore[call-overload]


LISTING = f"<ListBucketResult><Contents>{PLAIN}</Contents></ListBucketResult>".encode()
DECLARED = b"<?xml version='1.0' encoding='UTF-8'?>\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (LISTING, 200),
        (DECLARED + LISTING, 200),
        (DECLARED + LISTING + b"\n", 200),
        (b"<Error><Code>InternalError</Code></Error>", 500),
        (b"<Error><Message>of a <ListBucketResult/></Message></Error>", 500),
        (DECLARED + LISTING[:-1], 500),
        (b"", 200),
    ],
)
def test_errors_in_good_answers_are_botocores(body: bytes, status: int) -> None:
    assert status_of(session_of_quick_listings(), body) == status_of(AioSession(), body) == status


def test_whole_listings_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(botocore.handlers, "_looks_like_special_case_error", pytest.fail)
    assert status_of(session_of_quick_listings(), DECLARED + LISTING) == 200
