"""Keys and objects on S3 that trip clients: on a real server, and to the letter on a double."""

import os
from typing import Any

import pytest

from s2sw.connectors.storage.objects import list_objects, read_object, stat_object
from s2sw.connectors.storage.stored import StoredObject
from s2sw.schemas.errors import UserError
from s2sw.schemas.outcomes import Reason, ScreeningError
from s2sw.schemas.storage import StorageSettings
from tests.support.plain_s3 import ARCHIVED, BUCKET, UNDER_A_KEY, PlainS3
from tests.support.s3server import S3Server

TRIES = 3
SETTINGS = StorageSettings(tries=TRIES)
LIMIT = 1 << 20
KEYS = [
    "plus+x.png", "per%cent%41.png", "hash#x.png", "query?x=1.png", "and&x.png", "semi;x.png",
    "two words.png", " leading and trailing ", "[brackets].png", "quote\"'<>.png", "tab\tx.png",
    "line\nx.png", "return\rx.png",
    "control\x01x.png", "delete\x7fx.png", "prefix", "prefix/below.png", "%2F%2e%2e", "=", "~user", "ü" * 60,
    "😀.png", "M\u00fcller.png", "Mu\u0308ller.png",
]  # fmt: skip
TO_THE_LETTER = [
    *KEYS, "/leading.png", "double//slash.png", "a/./dot.png", "a/../dots.png", "../up.png", "./here.png",
    "back\\slash.png", "trailing/", "k" * 1024, "é" * 512,
]  # fmt: skip


def listed(source: str, settings: StorageSettings = SETTINGS) -> dict[str, StoredObject]:
    root = source.split("/", 3)[2]
    return {one.uri.removeprefix(f"s3://{root}/"): one for one in list_objects(source, settings)}


def reason_of_reading(stored: StoredObject, settings: StorageSettings = SETTINGS) -> Reason:
    with pytest.raises(ScreeningError) as caught:
        read_object(stored, settings, LIMIT)
    return caught.value.reason


@pytest.mark.integration
def test_keys_on_a_real_server(s3: S3Server) -> None:
    bucket, client = s3.bucket(), s3.client()
    for key in KEYS:
        client.call_s3("put_object", Bucket=bucket, Key=key, Body=key.encode())
    found = listed(f"s3://{bucket}")
    assert set(found) == set(KEYS)
    assert {key: read_object(one, SETTINGS, LIMIT) for key, one in found.items()} == {
        key: key.encode() for key in KEYS
    }
    assert all(stat_object(one.uri, SETTINGS).etag == one.etag for one in found.values())


@pytest.mark.integration
def test_folder_objects_and_prefixes_that_are_keys(s3: S3Server) -> None:
    bucket, client = s3.bucket(), s3.client()
    client.call_s3("put_object", Bucket=bucket, Key="ward/", Body=b"")
    for key in ("ward/a.png", "ward.png", "ward-2/a.png"):
        client.call_s3("put_object", Bucket=bucket, Key=key, Body=b"x")
    assert set(listed(f"s3://{bucket}/ward/")) == {"ward/a.png"}
    assert set(listed(f"s3://{bucket}/ward")) == {"ward/a.png", "ward.png", "ward-2/a.png"}


@pytest.mark.integration
def test_an_object_under_a_key_of_the_customer_s_is_unavailable(s3: S3Server) -> None:
    bucket, client = s3.bucket(), s3.client()
    secret: dict[str, Any] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    client.call_s3("put_object", Bucket=bucket, Key="sealed.png", Body=b"sealed", **secret)
    (stored,) = listed(f"s3://{bucket}").values()
    assert reason_of_reading(stored) is Reason.UNAVAILABLE
    with pytest.raises(ScreeningError) as caught:
        stat_object(stored.uri, SETTINGS)
    assert caught.value.reason is Reason.UNAVAILABLE


@pytest.mark.integration
def test_versions_and_delete_marks(s3: S3Server) -> None:
    bucket, client = s3.bucket(), s3.client()
    client.call_s3("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"first", b"second"):
        client.call_s3("put_object", Bucket=bucket, Key="twice.png", Body=body)
    for key in ("marked.png", "later.png"):
        client.call_s3("put_object", Bucket=bucket, Key=key, Body=b"gone")
    client.call_s3("delete_object", Bucket=bucket, Key="marked.png")
    found = listed(f"s3://{bucket}")
    assert set(found) == {"twice.png", "later.png"}
    assert read_object(found["twice.png"], SETTINGS, LIMIT) == b"second"
    client.call_s3("delete_object", Bucket=bucket, Key="later.png")
    assert reason_of_reading(found["later.png"]) is Reason.NOT_FOUND
    client.call_s3("put_object", Bucket=bucket, Key="twice.png", Body=b"third!")
    assert reason_of_reading(found["twice.png"]) is Reason.CHANGED


def at(server: PlainS3) -> StorageSettings:
    return StorageSettings(endpoint_url=server.endpoint, anonymous=True, tries=TRIES, region="us-east-1")


@pytest.mark.parametrize("page", [3, 1000])
def test_keys_go_over_the_wire_to_the_letter(page: int) -> None:
    with PlainS3({key: key.encode() for key in TO_THE_LETTER}, page) as server:
        found = listed(f"s3://{BUCKET}", at(server))
        assert set(found) == set(TO_THE_LETTER)
        for key, stored in found.items():
            assert read_object(stored, at(server), LIMIT) == key.encode()
        assert server.asked == dict.fromkeys(TO_THE_LETTER, 1)


def test_only_empty_objects_are_folders() -> None:
    with PlainS3({"folder/": b"", "not-a-folder/": b"picture", "folder/a.png": b"x"}) as server:
        assert set(listed(f"s3://{BUCKET}", at(server))) == {"not-a-folder/", "folder/a.png"}


@pytest.mark.parametrize("refusal", [ARCHIVED, UNDER_A_KEY])
def test_what_is_not_given_out_is_asked_for_once(refusal: Any) -> None:
    with PlainS3({"frozen.dcm": refusal}) as server:
        (stored,) = listed(f"s3://{BUCKET}", at(server)).values()
        assert reason_of_reading(stored, at(server)) is Reason.UNAVAILABLE
        assert server.asked["frozen.dcm"] == 1


@pytest.mark.parametrize(
    ("address", "said"),
    [("s3://", "names no bucket"), ("s3:///lake/a.png", "names no bucket"), ("s3://a b/c", "letters")],
)
def test_address_that_can_name_no_bucket_says_so(address: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        stat_object(address, SETTINGS)
    with pytest.raises(UserError, match=said):
        list(list_objects(address, SETTINGS))
