"""A copy for another site: no ids, no labels, no groups that are named by folders; its ranks are the same."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from s2sw.model.bundles.record import read_record
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.profile.anonymous import copy_anonymous
from s2sw.pipeline.profile.banks import read_bank, write_bank
from s2sw.pipeline.profile.building import bank_of, group_record, judge
from s2sw.pipeline.profile.drafting import drafts
from s2sw.pipeline.profile.folder import ProfileError, ProfileFolder
from s2sw.pipeline.profile.grouping import Grouping
from s2sw.pipeline.profile.place import ProfilePlace, Subject
from s2sw.pipeline.profile.ranking import ProfileRanking
from s2sw.pipeline.run.profiles import decode_digest, existing_profile
from s2sw.schemas.config import GroupSettings, ScreenConfig
from s2sw.schemas.profile import ProfileRecord
from s2sw.schemas.storage import StorageSettings
from tests.pipeline.profile.test_building import PATCHES, sampled, seen
from tests.pipeline.profile.test_grouping import picture
from tests.support.bundles import bundle as small_bundle

KEY = bytes(32)
FOLDER = Grouping(GroupSettings(), "/archive", KEY).groups("/archive/ward/0.png", picture())[0]
CODES = "MR/BRAIN/axial"


def folder_of(path: Path) -> ProfileFolder:
    return ProfileFolder(str(path), StorageSettings())


def original(path: Path, *names: str, bundle: str = "b") -> ProfileRecord:
    """Write a profile with a group for each name, sealed with nothing; ids are of a key."""
    groups = []
    for name in names:
        (draft,) = drafts([sampled(n, (name,), f"owner{n:04}") for n in range(40)])
        kept = bank_of(draft)
        judged = judge(kept, [])
        assert judged is not None
        groups.append(group_record(draft, write_bank(folder_of(path), kept), judged, "Ward 7", "now"))
    facts = {"detector": "dino", "bundle": bundle, "precision": "fp32", "decode": "0" * 64}
    settings = GroupSettings(pattern="(?P<group>ward7)")
    record = ProfileRecord(**facts, key_id="0123", created="now", listed=40, settings=settings).with_groups(
        groups
    )
    folder_of(path).write(record)
    return record


def test_a_copy_names_nobody_and_ranks_pictures_of_others_the_same(tmp_path: Path) -> None:
    record = original(tmp_path / "own", CODES, FOLDER)
    copy = copy_anonymous(folder_of(tmp_path / "own"), folder_of(tmp_path / "copy"), PATCHES)
    assert folder_of(tmp_path / "copy").read() == copy
    assert [group.name for group in copy.groups] == [CODES]
    assert copy.fingerprint != record.fingerprint
    written = b"".join(path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file())
    assert not [word for word in (b"owner", b"Ward", b"ward7", b'0123"', FOLDER.encode()) if word in written]
    assert set(read_bank(folder_of(tmp_path / "copy"), copy.groups[0], PATCHES).owners) == {""}
    one = sampled(900, (CODES,), "stranger")
    found = [
        ProfileRanking(ProfilePlace(str(tmp_path / name), StorageSettings(), of), PATCHES).rank(
            Subject("stranger", "", (CODES,)), [seen(one)]
        )
        for name, of in (("own", record), ("copy", copy))
    ]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].rank == found[1].rank
    assert torch.equal(found[0].tokens, found[1].tokens)


def test_the_command_makes_the_copy(tmp_path: Path) -> None:
    detector = small_bundle(tmp_path / "bundle")
    original(tmp_path / "own", CODES, FOLDER, bundle=read_record(detector).fingerprint)
    command = ["profile", "copy", str(tmp_path / "own"), str(tmp_path / "given"), "--anonymous"]
    done = CliRunner().invoke(app, [*command, "--bundle", str(detector)])
    assert done.exit_code == 0, done.output
    assert [group.name for group in folder_of(tmp_path / "given").read().groups] == [CODES]


def test_groups_of_own_sites_and_their_pattern_stay_here(tmp_path: Path) -> None:
    own = Grouping(GroupSettings(columns=("modality", "site"), site="/(?P<site>ward)/"), "/archive", KEY)
    names = own.groups("/archive/ward/0.dcm", picture(modality="MR"))
    record = original(tmp_path / "own", *names).model_copy(update={"settings": own.settings}).named()
    folder_of(tmp_path / "own").write(record)
    copy = copy_anonymous(folder_of(tmp_path / "own"), folder_of(tmp_path / "copy"), PATCHES)
    assert [group.name for group in copy.groups] == ["MR"]
    assert (copy.settings.columns, copy.settings.site) == (("modality",), None)


def test_what_no_other_site_could_use_is_not_copied(tmp_path: Path) -> None:
    original(tmp_path / "own", FOLDER)
    with pytest.raises(ProfileError, match="no group by tags"):
        copy_anonymous(folder_of(tmp_path / "own"), folder_of(tmp_path / "copy"), PATCHES)
    original(tmp_path / "other", CODES)
    copy_anonymous(folder_of(tmp_path / "other"), folder_of(tmp_path / "copy"), PATCHES)
    with pytest.raises(ProfileError, match="holds one already"):
        copy_anonymous(folder_of(tmp_path / "other"), folder_of(tmp_path / "copy"), PATCHES)


def test_a_site_with_another_key_takes_the_copy_and_not_the_original(bundle: Path, tmp_path: Path) -> None:
    config = ScreenConfig(
        source="/archive", output="/out", private_dir=str(tmp_path / "private"), profile=str(tmp_path / "own")
    )
    detector = read_record(bundle)
    patches = detector.grid**2
    record = original(tmp_path / "own", CODES)
    (group,) = record.groups
    fitting = record.model_copy(
        update={"bundle": detector.fingerprint, "decode": decode_digest(config)}
    ).named()
    folder_of(tmp_path / "own").write(fitting)
    if patches != PATCHES:  # the banks of this test have pictures of their own size
        detector = detector.model_copy(update={"grid": 5})
    with pytest.raises(ProfileError, match="ids of another key"):
        existing_profile(config, detector, Inside.of(config.private_dir), KEY)
    copy = copy_anonymous(folder_of(tmp_path / "own"), folder_of(tmp_path / "copy"), PATCHES)
    named = config.model_copy(update={"profile": str(tmp_path / "copy")})
    found = existing_profile(named, detector, Inside.of(config.private_dir), KEY)
    assert found is not None
    assert found.record == copy
    assert group.name in {one.name for one in found.record.groups}
