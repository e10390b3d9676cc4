"""Tiles have banks of their own level: sampled, judged and ranked as tiles, by the stages of a run."""

import functools
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from s2sw.connectors.storage.objects import list_objects
from s2sw.model import load_detector
from s2sw.model.rarity.seeding import WHOLE
from s2sw.pipeline.listing.todo import Todo, TodoReader
from s2sw.pipeline.profile.banks import read_bank, write_bank
from s2sw.pipeline.profile.building import bank_of, group_record, judge, tiles_of
from s2sw.pipeline.profile.drafting import Sampled, drafts
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.profile.grouping import grouping
from s2sw.pipeline.profile.place import ProfilePlace
from s2sw.pipeline.results.checking import BadRowError, problem_of
from s2sw.pipeline.results.reading import full_map, mask, slice_maps
from s2sw.pipeline.run.profile_samples import Samples
from s2sw.pipeline.stages.collecting import Collector
from s2sw.pipeline.stages.decoding import DecodeStage
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.detecting import DetectStage
from s2sw.pipeline.stages.sample_decoding import SampleDecode, SeedDecode
from s2sw.pipeline.stages.sampling import SampleStage
from s2sw.pipeline.stages.wire import END
from s2sw.schemas.config import GroupSettings, TileSettings
from s2sw.schemas.decoding import DecodeSettings
from s2sw.schemas.profile import ProfileRecord, of_tiles
from s2sw.schemas.storage import StorageSettings
from s2sw.schemas.tables import MANIFEST, Row
from tests.support.archives import dicom_file, encoded, texture
from tests.support.threads import one_thread as one_thread
from tests.support.tiny_dinov2 import tiny as tiny

PICTURES, LARGE = 30, (70, 130)
TILES = TileSettings(size=70)
STORAGE = StorageSettings()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of wide pictures of two tiles each."""
    folder = tmp_path_factory.mktemp("lake")
    for number in range(PICTURES):
        (folder / f"{number:02}.png").write_bytes(encoded(texture(*LARGE, number), "PNG"))
    return folder


@pytest.fixture(scope="module")
def todo(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> Todo:
    objects = sorted(list_objects(str(lake), STORAGE), key=lambda one: one.uri)
    rows = [{"object_id": f"o{n:02}", **asdict(o)} for n, o in enumerate(objects)]
    return Todo.write(
        tmp_path_factory.mktemp("todo") / "todo", pa.Table.from_pylist(rows, MANIFEST).to_batches(), 4
    )


def decoding(todo: Todo, lake: Path, tiles: TileSettings = TILES) -> DecodeStage:
    groups = grouping(GroupSettings(), str(lake), None)
    return DecodeStage(todo, 70, tiles, DecodeSettings(), STORAGE, grouping=groups, ranked=True)


def settings(tiny: Path, **options: object) -> DetectSettings:
    load = functools.partial(load_detector, tiny)
    return DetectSettings(load, threshold=0.5, batch_size=2, threads=1, **options)


def ran(decode: DecodeStage, detect: DetectStage) -> list[pa.Table]:
    groups = pa.table({"id": list(range(decode.todo.groups))})
    return [detect(table) for table in decode(groups)]


def sampled(decode: DecodeStage, tiny: Path, kept: Path) -> list[Sampled]:
    samples, collector = Samples(kept, lambda _: None), Collector(PICTURES)
    reader = TodoReader(decode.todo)
    for table in ran(decode, SampleStage(settings(tiny, sampling=True))):
        for finished in collector.add(table):
            samples.finish(finished, reader)
    assert not collector.has_open
    return samples.of(samples.known())


@pytest.fixture(scope="module")
def everything(todo: Todo, lake: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Sampled]:
    decode = SampleDecode(**vars(decoding(todo, lake)), slices={"png": 9})
    return sampled(decode, tiny, tmp_path_factory.mktemp("samples") / "sampled")


@pytest.fixture(scope="module")
def place(
    everything: list[Sampled], todo: Todo, lake: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> ProfilePlace:
    folder = ProfileFolder(str(tmp_path_factory.mktemp("profile") / "p"), STORAGE)
    chosen = {f"o{n:02}": {(0, 0): 1, (0, 1): 1} for n in range(PICTURES)}
    decode = SeedDecode(**vars(decoding(todo, lake)), chosen=chosen)
    seeds = sampled(decode, tiny, tmp_path_factory.mktemp("samples") / "seeded")
    groups = []
    for draft in drafts(everything):
        kept = bank_of(draft)
        mine = [one for one in seeds if set(one.groups) & {draft.name}]
        judged = judge(kept, mine, tiles=tiles_of(draft))
        assert judged is not None
        groups.append(group_record(draft, write_bank(folder, kept), judged, "", "now"))
    record = ProfileRecord(
        detector="dino", bundle="b", precision="fp32", decode="0" * 64, key_id="", created="now",
        listed=PICTURES, settings=GroupSettings(), tiles=TILES, groups=tuple(groups),
    ).named()  # fmt: skip
    folder.write(record)
    return ProfilePlace(folder.address, STORAGE, record)


def screened(todo: Todo, lake: Path, tiny: Path, tiles: TileSettings = TILES, **options: object) -> list[Row]:
    tables = ran(decoding(todo, lake, tiles), DetectStage(settings(tiny, **options)))
    rows = pa.concat_tables(tables).to_pylist()
    return sorted((row for row in rows if row["slice_index"] != END), key=lambda row: row["object"])


def test_every_view_of_a_sampled_slice_is_a_picture_of_its_level(everything: list[Sampled]) -> None:
    whole, tiles = ([one for one in everything if bool(one.view) == tile] for tile in (False, True))
    assert len(whole) == PICTURES
    assert sorted((one.owner, one.view) for one in tiles) == [
        (f"o{n:02}", view) for n in range(PICTURES) for view in (1, 2)
    ]
    assert {one.slice_index for one in everything} == {0}
    assert {name for one in tiles for name in one.groups} == {of_tiles(whole[0].groups[0])}


def test_fewer_tiles_are_taken_where_they_are_many_and_everywhere_the_same(
    todo: Todo, lake: Path, tmp_path: Path
) -> None:
    groups = pa.table({"id": list(range(todo.groups))})
    decode = SampleDecode(**vars(decoding(todo, lake)), slices={"png": 1})
    found = [
        [(row["object"], row["view"], row["n_slices"]) for table in decode(some) for row in table.to_pylist()]
        for some in (groups, groups.slice(0, 2))
    ]
    views = {view for _, view, _ in found[0]}
    assert views == {None, 0, 1, 2}  # of every place, from one picture or another
    assert {slices for _, view, slices in found[0] if view is None} == {2}
    assert found[0][: len(found[1])] == found[1]


def test_banks_of_tiles_are_judged_as_what_a_slice_has_several_of(place: ProfilePlace) -> None:
    whole, tiles = sorted(place.record.groups, key=lambda group: group.tiles)
    assert (whole.tiles, tiles.tiles, tiles.name) == (0, 2, of_tiles(whole.name))
    assert (whole.pictures, tiles.pictures) == (PICTURES, 2 * PICTURES)
    kept = read_bank(place.folder(), tiles, 25)
    assert set(zip(kept.owners, kept.views, strict=True)) == {
        (f"o{n:02}", view) for n in range(PICTURES) for view in (1, 2)
    }
    assert whole.extent is not None
    assert tiles.extent is not None
    assert whole.extent.pixels == pytest.approx((70 * 130) ** 0.5)
    assert tiles.extent.pixels == pytest.approx(70)
    assert (whole.extent.mm, tiles.extent.mm) == (None, None)


def test_defects_in_a_picture_of_known_spacing_have_their_size_in_mm(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom_file())
    rows = [{"object_id": "o00", **asdict(one)} for one in list_objects(str(tmp_path), STORAGE)]
    todo = Todo.write(tmp_path / "todo", pa.Table.from_pylist(rows, MANIFEST).to_batches(), 1)
    chosen = {"o00": {(0, 0): 4, (0, 1): 4}}
    decode = SeedDecode(**vars(decoding(todo, tmp_path, TILES)), chosen=chosen)
    spoilt = decoded(decode)
    areas = {row["view"]: (row["seed_pixels"], row["seed_mm2"]) for row in spoilt}
    assert areas.keys() == {0, 1}
    assert areas[0] == pytest.approx((128 * 128, (128 * 0.661468) ** 2))
    assert areas[1] == pytest.approx((70 * 70, (70 * 0.661468) ** 2))
    assert max(row["seed_size"] for row in spoilt) < WHOLE
    both = decoded(replace(decode, whole={"o00": {(0, 1)}}))
    (change,) = [row for row in both if row["seed_size"] == WHOLE]
    assert (change["view"], change["seed_pixels"]) == (1, 70 * 70)
    others = [row for row in both if row["seed_size"] < WHOLE]
    assert [row["pixels"] for row in others] == [row["pixels"] for row in spoilt]
    assert decoded(replace(decode, whole={"o00": {(0, 1)}})) == both


def decoded(decode: SeedDecode) -> list[Row]:
    """Return the rows of the only object, without that of its end."""
    *rows, end = [row for table in decode(pa.table({"id": [0]})) for row in table.to_pylist()]
    assert (end["slice_index"], end["n_slices"]) == (END, len(rows))
    assert [row["slice_index"] for row in rows] == list(range(len(rows)))
    return rows


def test_a_slice_ranks_by_its_rarest_view_and_its_maps_are_combined_view_by_view(
    todo: Todo, lake: Path, tiny: Path, place: ProfilePlace
) -> None:
    ranked, alone = screened(todo, lake, tiny, profile=place), screened(todo, lake, tiny)
    (whole,) = (group.name for group in place.record.groups if not group.tiles)
    without = screened(todo, lake, tiny, TileSettings(), profile=place)
    for row, zero_shot, untiled in zip(ranked, alone, without, strict=True):
        assert row["image_score"] == zero_shot["image_score"]
        assert (row["group"], len(row["tiles"])) == (whole, 8)
        assert row["rank_score"] >= untiled["rank_score"]
        tokens = np.frombuffer(row["token_map"], np.float16).reshape(3, -1)
        np.testing.assert_array_equal(tokens[0], np.frombuffer(untiled["token_map"], np.float16))
        assert full_map(row).shape == LARGE
    above = [row["rank_score"] > 0.5 for row in ranked]
    assert sum(above) <= 6  # one in ten of the bank's own pictures, not one in twenty of three views each
    assert any(row["rank_score"] > other["rank_score"] for row, other in zip(ranked, without, strict=True))


def test_without_a_bank_of_tiles_a_tiled_slice_has_no_rank(
    todo: Todo, lake: Path, tiny: Path, place: ProfilePlace
) -> None:
    groups = tuple(group for group in place.record.groups if not group.tiles)
    fewer = replace(place, record=place.record.model_copy(update={"groups": groups}).named())
    rows = screened(todo, lake, tiny, profile=fewer)
    assert {row["group"] for row in rows} == {None}
    assert {row["rank_score"] for row in rows} == {None}


def test_the_zero_shot_map_is_kept_on_request_and_rebuilt_as_the_combined_one(
    todo: Todo, lake: Path, tiny: Path, place: ProfilePlace
) -> None:
    kept = screened(todo, lake, tiny, profile=place, zero_shot_map=True)[0]
    alone = screened(todo, lake, tiny, zero_shot_map=True)[0]
    assert alone["zero_shot_map"] is None  # its map is the zero-shot one
    assert kept["zero_shot_map"] != kept["token_map"]
    np.testing.assert_allclose(full_map(kept, zero_shot=True), full_map(alone), atol=2e-3)
    np.testing.assert_array_equal(full_map(alone, zero_shot=True), full_map(alone))
    assert np.abs(full_map(kept) - full_map(kept, zero_shot=True)).max() > 0.01
    found = mask(kept, 0.4, zero_shot=True)
    np.testing.assert_array_equal(found, full_map(kept, zero_shot=True) >= 0.4)
    kept["threshold"] = 0.4  # as the writer puts it
    np.testing.assert_array_equal(mask(kept, zero_shot=True), found)


def test_a_row_without_it_or_with_one_of_another_size_says_so(
    todo: Todo, lake: Path, tiny: Path, place: ProfilePlace
) -> None:
    row = screened(todo, lake, tiny, profile=place)[0]
    with pytest.raises(BadRowError, match="--zero-shot-map"):
        slice_maps(row, zero_shot=True)
    assert problem_of({"zero_shot_map": b"x", **{k: row[k] for k in MAP}}) == "zero_shot_map"


MAP = ("rows", "cols", "tiles", "token_map", "grid", "side", "smooth", "map_layers")
