"""A profile that somebody else made: bounds on its banks and numbers, and on S3 the seal of the id key."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from s2sw.model.bundles.record import BundleRecord, read_record
from s2sw.pipeline.privacy.ids import existing_key, key_id
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.profile.banks import read_bank
from s2sw.pipeline.profile.folder import ProfileError, ProfileFolder
from s2sw.pipeline.profile.place import ProfilePlace, Subject
from s2sw.pipeline.profile.ranking import ProfileRanking, Seen
from s2sw.pipeline.run.profiles import decode_digest, existing_profile
from s2sw.schemas.config import GroupSettings, ScreenConfig
from s2sw.schemas.errors import UserError
from s2sw.schemas.profile import (
    GroupRecord,
    LineRecord,
    ProfileRecord,
    bank_file,
    parse_profile,
    profile_bytes,
)
from s2sw.schemas.storage import StorageSettings
from tests.support.memory import limited_to
from tests.support.s3server import S3Server

COUNT, PATCHES, WIDE, KEPT = 24, 25, 32, 16
OWNERS = [f"{number:x}" * 26 for number in range(8)] * 3
LINES = ("patches", "token", "picture", "score", "rank", "map")


def bank(**changes: Any) -> bytes:
    """Return the file of a bank with some tensors replaced."""
    tensors: dict[str, Tensor] = {
        "descriptions": torch.ones(COUNT, WIDE),
        "scores": torch.ones(COUNT),
        "tokens": torch.ones(COUNT, PATCHES),
    }
    for tap in range(2):
        tensors[f"basis.{tap}"] = torch.ones(WIDE, KEPT)
        tensors[f"patches.{tap}"] = torch.ones(COUNT, PATCHES, KEPT, dtype=torch.int8)
    tensors |= {name.replace("_", "."): tensor for name, tensor in changes.items()}
    pictures = json.dumps([OWNERS, [""] * COUNT, list(range(COUNT)), [0] * COUNT])
    return save(
        {name: tensor for name, tensor in tensors.items() if tensor is not None}, {"pictures": pictures}
    )


def group(data: bytes, **changes: Any) -> GroupRecord:
    line = LineRecord(offset=0, scale=1)
    entries = dict.fromkeys(LINES, line) | {"taps": (line, line), "pictures": COUNT, "objects": 8}
    return GroupRecord(
        name="a", file=bank_file(data).name, sha256=bank_file(data).sha256, resemblance=1, weight=0.5,
        **entries | changes,
    )  # fmt: skip


def written(folder: Path, data: bytes, **changes: Any) -> tuple[ProfileFolder, GroupRecord]:
    one = group(data, **changes)
    (folder / "groups").mkdir()
    (folder / one.file).write_bytes(data)
    return ProfileFolder(str(folder), StorageSettings()), one


HOSTILE: dict[str, dict[str, Any]] = {
    "patches": {"patches_0": torch.ones(COUNT, 400_000, KEPT, dtype=torch.int8)},
    "patches of one tap": {"patches_1": torch.ones(COUNT, PATCHES + 1, KEPT, dtype=torch.int8)},
    "numbers": {"basis_0": torch.ones(WIDE, 200), "patches_0": torch.ones(COUNT, PATCHES, 200).char()},
    "a wide basis": {"basis_0": torch.ones(1 << 16, KEPT), "descriptions": torch.ones(COUNT, 1 << 16)},
    "pictures": {"descriptions": torch.ones(10_000, WIDE)},
    "types": {"patches_0": torch.ones(COUNT, PATCHES, KEPT)},
    "another tensor": {"more": torch.ones(1 << 20)},
    "a tensor less": {"patches_1": None},
    "no dimension": {"basis_0": torch.tensor(1.0)},
    "scores that are none": {"scores": torch.full((COUNT,), torch.nan)},
    "maps beyond 1": {"tokens": torch.full((COUNT, PATCHES), 1.5)},
    "endless components": {"basis_0": torch.full((WIDE, KEPT), torch.inf)},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_banks_that_fit_no_detector(tmp_path: Path, kind: str) -> None:
    data = bank(**HOSTILE[kind])
    folder, one = written(tmp_path, data)
    with pytest.raises(UserError) as caught, limited_to(256 << 20):
        read_bank(folder, one, PATCHES)
    assert len(str(caught.value).splitlines()) == 1


def test_a_sound_bank_is_read(tmp_path: Path) -> None:
    folder, one = written(tmp_path, bank())
    assert read_bank(folder, one, PATCHES).owners == tuple(OWNERS)
    with pytest.raises(ProfileError, match="other shapes"):
        read_bank(folder, one, PATCHES + 1)  # of another detector


HEADERS = {
    "huge": b"{" + b" " * (1 << 20), "deep": b"[" * 50_000, "none": b"null", "list": b"[]", "text": b"x" * 40,
    "deep names": json.dumps({"__metadata__": {"pictures": "[" * 50_000}}).encode(),
    "names": json.dumps({"__metadata__": {"pictures": "[1,2,3,4]"}}).encode(),
    "long number": b'{"__metadata__":' + b"9" * 5000 + b"}",
    "shapes": b'{"basis.0": {"dtype": "F32", "shape": [{}, []]}, '
    b'"__metadata__": {"pictures": "[[],[],[],[]]"}}',
    "no views": json.dumps({"__metadata__": {"pictures": "[[],[],[]]"}}).encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("size", [None, 1 << 62])
def test_headers_that_lie(tmp_path: Path, kind: str, size: int | None) -> None:
    header = HEADERS[kind]
    data = (len(header) if size is None else size).to_bytes(8, "little") + header
    folder, one = written(tmp_path, data)
    with pytest.raises(ProfileError):
        read_bank(folder, one, PATCHES)


def test_a_file_beyond_what_the_group_can_have_is_not_read(tmp_path: Path) -> None:
    folder, one = written(tmp_path, bank())
    with (tmp_path / one.file).open("ab") as file:
        file.truncate(100 << 30)
    with pytest.raises(UserError, match="more than"), limited_to(256 << 20):
        read_bank(folder, one, PATCHES)


def record(*groups: GroupRecord, **changes: Any) -> ProfileRecord:
    entries: dict[str, Any] = {
        "detector": "dino", "bundle": "b", "precision": "fp32", "decode": "0" * 64, "key_id": "", "listed": 1,
        "created": "now", "settings": GroupSettings(),
    }  # fmt: skip
    return ProfileRecord(**entries | changes, groups=groups).named()


@pytest.mark.parametrize(
    ("name", "line"),
    [("rank", {"scale": 1e-300}), ("score", {"offset": 1e300}), ("map", {"scale": 0.0})],
)
def test_lines_that_make_ranks_infinite(name: str, line: dict[str, float]) -> None:
    forged = record(
        group(bank(), **{name: LineRecord.model_construct(**{"offset": 0.0, "scale": 1.0} | line)})
    )
    with pytest.raises(ValueError, match=rf"is damaged at 'groups\.0\.{name}"):
        parse_profile(profile_bytes(forged))


@pytest.mark.parametrize(
    "changes", [{"pictures": 10**9}, {"objects": 10**9}, {"taps": (LineRecord(offset=0, scale=1),) * 99}]
)
def test_counts_of_a_group(changes: dict[str, Any]) -> None:
    one = group(bank()).model_copy(update=changes)
    with pytest.raises(ValueError, match="is damaged at"):
        parse_profile(profile_bytes(record(one)))


@pytest.mark.parametrize("offset", [1e9, -1e9])
@pytest.mark.parametrize("scale", [1e-7, 1e9])
def test_ranks_are_finite_whatever_a_record_may_say(tmp_path: Path, offset: float, scale: float) -> None:
    from s2sw.model.rarity.features import features_of

    line = LineRecord(offset=offset, scale=scale)
    folder, one = written(tmp_path, bank(), **dict.fromkeys(LINES, line), taps=(line, line))
    place = ProfilePlace(folder.address, StorageSettings(), record(one))
    features = features_of([torch.randn(1, PATCHES, WIDE) for _ in range(2)])[0]
    found = ProfileRanking(place, PATCHES).rank(
        Subject("z" * 26, "", ("a",)), [Seen(features, 0.5, np.full(PATCHES, 0.5, np.float32))]
    )
    assert found is not None
    assert np.isfinite([found.rank, found.rarity]).all()
    assert 0 <= found.rank <= 1
    assert torch.isfinite(found.tokens).all()


@pytest.fixture
def key(tmp_path: Path) -> bytes:
    (tmp_path / "private").mkdir(mode=0o700)
    inside = Inside.of(str(tmp_path / "private"))
    inside.make_key()
    found = existing_key(tmp_path / "private")
    assert found
    return found


def on_s3(s3: S3Server, bundle: Path, private: Path, key: bytes) -> tuple[ScreenConfig, ProfileRecord]:
    bucket = s3.bucket()
    config = ScreenConfig(
        source="/archive", output="/out", profile=f"s3://{bucket}/profile", private_dir=str(private),
        storage=StorageSettings(endpoint_url=s3.endpoint),
    )  # fmt: skip
    found: BundleRecord = read_record(bundle)
    return config, record(bundle=found.fingerprint, decode=decode_digest(config), key_id=key_id(key))


def test_a_profile_on_s3_needs_the_seal_of_the_id_key(
    s3: S3Server, bundle: Path, tmp_path: Path, key: bytes
) -> None:
    """Who may write to the bucket knows the key's name, the detector and how checksums are made."""
    config, forged = on_s3(s3, bundle, tmp_path / "private", key)
    own = read_record(bundle), Inside.of(config.private_dir), key
    for sealed in (None, b"\0" * 32):
        ProfileFolder(config.profile, config.storage, sealed).write(forged)
        with pytest.raises(ProfileError, match="has no seal of this id key"):
            existing_profile(config, *own)
    ProfileFolder(config.profile, config.storage, key).write(forged)
    assert existing_profile(config, *own) is not None
