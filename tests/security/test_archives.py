"""A zip archive does not get more entries past the limit than it may have, whichever record names them."""

import io
import tracemalloc
import zipfile

import pytest

from s2sw.connectors.archives.members import list_members
from s2sw.schemas.decoding import DecodeSettings, Limits
from s2sw.schemas.outcomes import Reason, ScreeningError

ENTRIES = 20_000
END = b"PK\x05\x06"


def with_zip64(data: bytes) -> bytes:
    """Return the archive with a ZIP64 record that has the truth, and an end record that has ten bytes."""
    end = data.rfind(END)
    size, start = (int.from_bytes(data[end + at : end + at + 4], "little") for at in (12, 16))
    count = ENTRIES.to_bytes(8, "little")
    record = (
        b"PK\x06\x06" + (44).to_bytes(8, "little") + b"\x2d\0\x2d\0" + bytes(8) + count + count
        + size.to_bytes(8, "little") + start.to_bytes(8, "little")
    )  # fmt: skip
    locator = b"PK\x06\x07" + bytes(4) + end.to_bytes(8, "little") + (1).to_bytes(4, "little")
    small = END + bytes(4) + (1).to_bytes(2, "little") * 2 + (10).to_bytes(4, "little") + bytes(6)
    return data[:end] + record + locator + small


def test_a_zip64_record_does_not_pass_the_limit() -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for number in range(ENTRIES):
            archive.writestr(f"{number}", b"")
    data = with_zip64(sink.getvalue())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert len(archive.infolist()) == ENTRIES, "Python goes by the ZIP64 record"
    settings = DecodeSettings(limits=Limits(members=100))
    tracemalloc.start()
    try:
        with pytest.raises(ScreeningError) as refused:
            list(list_members(data, settings))
        assert refused.value.reason is Reason.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
