"""Listing large buckets by several prefixes at once: nothing is lost or listed twice, and it ends."""

import threading

import psutil
import pytest

from s2sw.connectors.storage.objects import list_objects
from s2sw.connectors.storage.s3_listing import PLAIN_PAGES
from s2sw.schemas.outcomes import ScreeningError
from s2sw.schemas.storage import StorageSettings
from tests.support.plain_s3 import BUCKET, PlainS3
from tests.support.s3server import S3Server

PAGE = 30
FOLDERS = {f"lake/ward-{n // 10}/{n:02}/{k}.png": b"x" for n in range(40) for k in range(n)}
ODD = ["lake/top.png", "lake/ward-1/beside.png", "lake/ward-1/11/", "lake//double.png", "lake/ward-1//x.png"]
KEYS = FOLDERS | dict.fromkeys(ODD, b"y") | {"lake-2/other.png": b"z"}


def at(server: PlainS3) -> StorageSettings:
    return StorageSettings(endpoint_url=server.endpoint, anonymous=True, tries=1, region="us-east-1")


def keys(server: PlainS3, source: str = "lake/") -> list[str]:
    found = list_objects(f"s3://{BUCKET}/{source}", at(server))
    return [one.uri.removeprefix(f"s3://{BUCKET}/") for one in found]


def test_every_key_once() -> None:
    with PlainS3(KEYS, PAGE) as server:
        found = keys(server)
        assert sorted(found) == sorted(key for key in KEYS if key.startswith("lake/"))
        assert "lake/ward-3/39/" in server.listed, "it was divided"
        assert sorted(keys(server, "lake")) == sorted(KEYS)
        assert keys(server, "lake/ward-1/15/") == sorted(key for key in KEYS if "/15/" in key), (
            "few: in order"
        )


def test_what_lies_in_a_folder_comes_before_its_subfolders() -> None:
    """Outputs of ours are known by a file in their folder, which has to come first."""
    with PlainS3(KEYS, PAGE) as server:
        found = keys(server)
    assert found.index("lake/ward-1/beside.png") < min(
        place for place, key in enumerate(found) if key.startswith("lake/ward-1/1")
    )


def test_a_folder_of_very_many_is_listed_as_a_whole() -> None:
    many = {f"lake/{n:03}/a.png": b"x" for n in range(PAGE * (PLAIN_PAGES + 1))}
    with PlainS3(many, PAGE) as server:
        assert keys(server) == sorted(many)
        assert set(server.listed) == {"lake/"}


def test_one_object_takes_one_page() -> None:
    with PlainS3(KEYS, PAGE) as server:
        next(list_objects(f"s3://{BUCKET}/lake/", at(server), few=True))
        assert server.listed == {"lake/": 1}


def test_who_leaves_ends_all_that_was_started() -> None:
    with PlainS3(KEYS, PAGE) as server:
        listing = list_objects(f"s3://{BUCKET}/lake/", at(server))
        found = [next(listing) for _ in range(len(KEYS) // 2)]
        assert len(set(found)) == len(found)
        listing.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "listing"]
    assert not _listing_processes()


def _listing_processes() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "listing_process" in " ".join(one.cmdline())]


def test_a_process_that_is_killed_fails_the_listing() -> None:
    with PlainS3(KEYS, PAGE) as server:
        listing = list_objects(f"s3://{BUCKET}/lake/", at(server))
        for _ in range(len(ODD)):  # some lie in the folders that were divided, and came from here
            next(listing)
        _listing_processes()[0].kill()
        with pytest.raises(ScreeningError, match="ended with exit code -9"):
            list(listing)
    assert not _listing_processes()


def test_a_prefix_that_fails_fails_the_listing() -> None:
    with PlainS3(KEYS, PAGE) as server:
        server.refused.add("lake/ward-3/35/")
        with pytest.raises(ScreeningError):
            keys(server)


@pytest.mark.integration
def test_a_real_server(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2sw.connectors.storage.s3_pages.PAGE", 10)
    monkeypatch.setattr("s2sw.connectors.storage.s3_listing.PLAIN_PAGES", 4)
    bucket = s3.bucket()
    wanted = [f"ward-{n % 3}/{n % 7}/{n:02}.png" for n in range(60)] + [
        "a.png",
        "ward-1/b.png",
        "ward-1-c.png",
    ]
    for key in wanted:
        s3.client().pipe_file(f"{bucket}/{key}", b"x")
    found = list_objects(f"s3://{bucket}", StorageSettings())
    assert sorted(one.uri for one in found) == sorted(f"s3://{bucket}/{key}" for key in wanted)
