"""Ids are stable, keyed in private mode, and their key is its owner's only."""

import base64
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2sw.pipeline.privacy.ids import (
    KEY_ENV,
    KEY_FILE_ENV,
    KeyFileError,
    key_id,
    load_or_create_key,
    object_ids,
    uid_ids,
)

KEY = bytes(range(32))


def test_an_id_is_26_safe_characters_and_stable() -> None:
    made = object_ids(KEY)("/archive/ä.png", "etag")
    assert re.fullmatch("[a-z2-7]{26}", made)
    assert made == object_ids(KEY)("/archive/ä.png", "etag")
    # HMAC-SHA256 (RFC 2104) as OpenSSL computes it, in base32
    assert object_ids(KEY)("a", "b") == "oiopvrbmemliavccrenypmggxh"


def test_uri_etag_and_key_all_count() -> None:
    ids = {object_ids(key)(uri, etag) for key in (KEY, KEY[::-1], None) for uri in "ab" for etag in "cd"}
    assert len(ids) == 12


def test_the_fields_do_not_run_into_each_other() -> None:
    assert object_ids(KEY)("ab", "c") != object_ids(KEY)("a", "bc")


def test_ids_of_uids_have_a_key_and_a_domain_for_each_kind() -> None:
    digest = bytes(range(32))
    ids = {id for key in (KEY, KEY[::-1], None) for id in uid_ids(key)((digest, digest, digest)).values()}
    assert len(ids) == 9
    assert uid_ids(KEY)((digest, b"", digest)).keys() == {"study_id", "instance_id"}
    assert uid_ids(KEY)(()) == {}


def test_names_that_are_no_utf8_have_ids() -> None:
    assert object_ids(KEY)("/archive/\udcff.png", "e") != object_ids(KEY)("/archive/\udcfe.png", "e")


def test_the_key_is_made_once_and_is_its_owners_only(tmp_path: Path) -> None:
    key = load_or_create_key(tmp_path)
    assert len(key) == 32
    assert load_or_create_key(tmp_path) == key
    assert [p.name for p in tmp_path.iterdir()] == ["id.key"]
    assert (tmp_path / "id.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "other").mkdir()
    assert load_or_create_key(tmp_path / "other") != key


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_or_create_key(tmp_path)
    (tmp_path / "id.key").chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_or_create_key(tmp_path)


@pytest.mark.parametrize(("text", "problem"), [("zz" * 32, "no key"), ("ab" * 31, "31 bytes")])
def test_a_key_that_is_none_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "id.key"
    path.touch(mode=0o600)
    path.write_text(text)
    with pytest.raises(KeyFileError, match=problem) as refusal:
        load_or_create_key(tmp_path)
    assert text not in str(refusal.value)


def test_the_environment_can_bring_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, KEY.hex())
    assert load_or_create_key(tmp_path) == KEY
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv(KEY_ENV, "")
    with pytest.raises(KeyFileError, match=f"{KEY_ENV} holds 0 bytes"):
        load_or_create_key(tmp_path)


def test_the_name_of_a_key_tells_keys_apart() -> None:
    assert re.fullmatch("[0-9a-f]{8}", key_id(KEY))
    assert key_id(KEY) != key_id(KEY[::-1])
    assert key_id(KEY) not in KEY.hex()


@pytest.mark.parametrize(
    "encode",
    [
        bytes.hex, lambda key: key.hex().upper() + "\n", lambda key: base64.b64encode(key).decode(),
        lambda key: base64.urlsafe_b64encode(key).decode().rstrip("="),
    ],
)  # fmt: skip
def test_keys_in_hex_and_base64(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encode: Callable[[bytes], str]
) -> None:
    key = bytes(range(200, 232))
    monkeypatch.setenv(KEY_ENV, encode(key))
    assert load_or_create_key(tmp_path) == key
    monkeypatch.delenv(KEY_ENV)
    (tmp_path / "mounted").write_text(encode(key))
    (tmp_path / "mounted").chmod(0o400)
    (tmp_path / "id").symlink_to("mounted")
    monkeypatch.setenv(KEY_FILE_ENV, str(tmp_path / "id"))
    assert load_or_create_key(tmp_path) == key
    assert not (tmp_path / "id.key").exists()


@given(st.text(max_size=80))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", {KEY_ENV: text})
        try:
            assert len(load_or_create_key(Path("unused"))) >= 32
        except KeyFileError as error:
            assert KEY_ENV in str(error)  # noqa: PT017 (either outcome is right)


def test_a_mounted_secret_is_its_accounts_or_roots_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    monkeypatch.setenv(KEY_FILE_ENV, str(path))
    with pytest.raises(KeyFileError, match="does not exist: is the secret mounted there"):
        load_or_create_key(tmp_path)
    path.write_text(KEY.hex())
    for mode in (0o404, 0o420, 0o444):
        path.chmod(mode)
        with pytest.raises(KeyFileError, match="can be read by others: mount it with defaultMode 0400"):
            load_or_create_key(tmp_path)
    path.chmod(0o440)  # root's, for the pod's group
    monkeypatch.setattr(os, "fstat", owned_by(0))
    assert load_or_create_key(tmp_path) == KEY
    monkeypatch.setattr(os, "fstat", owned_by(4711))
    with pytest.raises(KeyFileError, match="can be read by others"):
        load_or_create_key(tmp_path)
    path.chmod(0o400)
    with pytest.raises(KeyFileError, match="belongs to another account"):
        load_or_create_key(tmp_path)
    monkeypatch.setenv(KEY_ENV, KEY.hex())
    with pytest.raises(KeyFileError, match="both set"):
        load_or_create_key(tmp_path)


def owned_by(user: int) -> Callable[[int], os.stat_result]:
    """Return an fstat that says of every file who owns it."""
    real = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        facts = list(real(descriptor))
        facts[4] = user
        return os.stat_result(facts)

    return fstat
