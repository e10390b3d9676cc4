"""What the review page keeps is bounded in bytes, whatever the rows hold."""

from pathlib import Path

import pytest

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.results.reading import open_results
from s2sw.pipeline.results.sources import Sources
from s2sw.pipeline.review import media
from s2sw.pipeline.review.archive import Archive
from s2sw.pipeline.review.pictures import Kept
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import Row
from tests.security.forged import forge
from tests.support.screened import Screened


class Item:
    """Something of a size."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


def test_what_was_not_used_for_longest_goes_first() -> None:
    kept: Kept[Item] = Kept(100)
    for number in range(20):
        kept.put(("f", "o", number), Item(30))
        kept.get(("f", "o", 0))
    assert [number for number in range(20) if kept.get(("f", "o", number))] == [0, 18, 19]
    kept.put(("f", "o", 0), Item(1000))
    assert [number for number in range(20) if kept.get(("f", "o", number))] == [0], "the newest in any case"


@pytest.fixture
def page(ward: Screened) -> tuple[media.Media, list[Row]]:
    forge(ward, "slices", lambda row: {"mask": row["mask"] + b" " * (5 << 20)} if row["cols"] == 240 else {})
    output = LocalOutput(ward.output)
    sources = Sources(output, Inside(Path(ward.private)), StorageSettings())
    shown = media.Media(Archive(output), sources, media.Switches())
    return shown, open_results(str(ward.output), fingerprint="all").slices().to_pylist()


def test_masks_are_kept_by_their_bytes(
    page: tuple[media.Media, list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, rows = page
    shown.expect(rows)
    large = [row for row in rows if len(row["mask"]) > media.MASK_BYTES]
    small = [row for row in rows if len(row["mask"]) <= media.MASK_BYTES]
    assert large
    assert small
    assert all(shown._mask(row) is None for row in large), "too large to be outlined"
    assert all(shown._mask(row) is not None for row in small)
    monkeypatch.setattr(shown, "_masks", Kept[media._Mask](1))
    assert all(shown._mask(row) is not None for row in small)
    assert len(shown._masks._items) == 1
