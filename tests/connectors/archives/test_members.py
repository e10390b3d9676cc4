"""Zip and tar members: names that stay inside, one status each, damage that stays with its member."""

import gzip
import io
import tarfile
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.connectors.archives.members import Member, is_container, is_safe, list_members, members
from s2sw.connectors.decode import decode
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError
from tests.robustness.fuzz_seeds import tar_of
from tests.support.archive_bombs import zip_of
from tests.support.writing import picture

SETTINGS = DecodeSettings()
CONTENTS = [("a.png", picture("PNG")), ("deep/er/b.jpg", picture("JPEG")), ("c", b"")]
ARCHIVES = {
    "zip": zip_of(*CONTENTS),
    "tar pax": tar_of(*CONTENTS),
    "tar gnu": tar_of(*CONTENTS, form=tarfile.GNU_FORMAT),
    "tar ustar": tar_of(*CONTENTS, form=tarfile.USTAR_FORMAT),
    "tar.gz": gzip.compress(tar_of(*CONTENTS)),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_members_come_in_order_and_whole(kind: str) -> None:
    data = ARCHIVES[kind]
    assert is_container(data)
    found = list(members(data, SETTINGS))
    assert found == [Member(name, content) for name, content in CONTENTS]
    assert list(list_members(data, SETTINGS)) == [(name, len(content)) for name, content in CONTENTS]
    assert decode(found[0].data, SETTINGS)[0] == "png"


@pytest.mark.parametrize(
    "name", ["../up.png", "/etc/passwd", "a/../../b", "C:\\x.png", "..\\x", "a\\..\\..\\b", ""]
)
def test_names_that_leave_the_archive(name: str) -> None:
    assert not is_safe(name)


@pytest.mark.parametrize("name", ["a..b/c.png", "...", "a/b/c", "übung.png", " x"])
def test_names_that_stay(name: str) -> None:
    assert is_safe(name)


@pytest.mark.parametrize("build", [zip_of, tar_of])
def test_an_unsafe_member_does_not_hide_the_next(build: type) -> None:
    found = list(members(build(("../up.png", b"x"), ("ok.png", b"y")), SETTINGS))
    assert [(m.data, m.reason) for m in found] == [(b"", Reason.UNSAFE_MEMBER), (b"y", None)]


def test_links_and_devices_are_unsafe() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind in (("soft", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("device", tarfile.CHRTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("file"))
    assert [m.reason for m in members(out.getvalue(), SETTINGS)] == [Reason.UNSAFE_MEMBER] * 3 + [None]
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive_zip:
        archive_zip.writestr(link, "/etc/passwd")
    assert [m.reason for m in members(out.getvalue(), SETTINGS)] == [Reason.UNSAFE_MEMBER]


def test_directories_are_no_members() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    assert list(members(out.getvalue(), SETTINGS)) == []


def test_long_and_foreign_names() -> None:
    names = ["x" * 300 + ".png", "ünïcode/" * 20 + "a", "a" * 99 + "/" + "b" * 99]
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        found = members(tar_of(*((name, b"1") for name in names), form=form), SETTINGS)
        assert [m.name for m in found] == names


def test_a_damaged_zip_member_does_not_hide_the_next() -> None:
    data = bytearray(zip_of(("a.png", picture("PNG", 200, 200)), ("b.png", b"fine")))
    data[60:70] = bytes(10)
    found = list(members(bytes(data), SETTINGS))
    assert found[0].reason in (Reason.MALFORMED, Reason.TRUNCATED)
    assert found[1] == Member("b.png", b"fine")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_unsupported(method: int) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("a", b"x" * 100)
    assert [m.reason for m in members(out.getvalue(), SETTINGS)] == [Reason.UNSUPPORTED]


def test_limits() -> None:
    few = DecodeSettings(limits=Limits(members=2))
    small = DecodeSettings(limits=Limits(object_bytes=3000))
    for data in (ARCHIVES["zip"], ARCHIVES["tar pax"]):
        with pytest.raises(ScreeningError, match=Reason.TOO_LARGE):
            list(members(data, few))
    big = zip_of(("a", bytes(5000)), ("b", b"y"))
    assert [m.reason for m in members(big, small)] == [Reason.TOO_LARGE, None]


NAMES = st.from_regex(r"[a-z]{1,9}(/[a-z]{1,9}){0,3}", fullmatch=True)


@given(st.lists(st.tuples(NAMES, st.binary(max_size=2000)), max_size=6))
def test_tar_reads_back_what_the_standard_library_writes(contents: list[tuple[str, bytes]]) -> None:
    data = tar_of(*contents)
    if contents:
        assert [(m.name, m.data) for m in members(data, SETTINGS)] == contents


@given(st.binary(max_size=3000), st.integers(0, 3000))
def test_damaged_tars_only_refuse(noise: bytes, at: int) -> None:
    data = bytearray(ARCHIVES["tar pax"])
    data[at : at + len(noise)] = noise
    with suppress(ScreeningError):
        assert all(isinstance(member, Member) for member in members(bytes(data), SETTINGS))
