"""The folder of a profile, local or on S3: ``profile.json`` and a file of tensors for each group."""

import hashlib
from pathlib import Path

from s2sw.connectors.outputs.folder import OutputFolder
from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.outputs.opening import open_output
from s2sw.pipeline.privacy.ids import derived_key
from s2sw.pipeline.profile.bank_header import Pictures, pictures_of
from s2sw.schemas.errors import UserError
from s2sw.schemas.layout import GROUPS_FOLDER, MARKER, PROFILE_FILE
from s2sw.schemas.outcomes import ScreeningError
from s2sw.schemas.profile import (
    BankFile,
    GroupRecord,
    ProfileRecord,
    bank_file,
    is_bank,
    is_sealed,
    parse_profile,
    profile_bytes,
)
from s2sw.schemas.shown import printable
from s2sw.schemas.storage import StorageSettings


class ProfileError(UserError):
    """A profile cannot be used; the message names it and says what to do."""


class ProfileFolder:
    """Reads and writes a profile at an address. It is private data: a local folder is its owner's alone."""

    def __init__(self, address: str, storage: StorageSettings, key: bytes | None = None) -> None:
        """Take an address. key: the id key, under which the record is sealed; None in open mode."""
        self.address = address
        self._key = derived_key(key, b"profile seal")
        self._output: OutputFolder = open_output(address, storage)

    def exists(self) -> bool:
        """Tell whether there is a profile."""
        try:
            self._output.read(PROFILE_FILE)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def read(self, *, sealed: bool = False) -> ProfileRecord:
        """Return the record. sealed: only one that has the seal of the key. Raises ProfileError."""
        try:
            data = self._output.read(PROFILE_FILE)
            record = parse_profile(data)
            if sealed and not (self._key and is_sealed(data, self._key)):
                raise ValueError("has no seal of this id key: others may have made it; build it again")
            return record
        except (FileNotFoundError, NotADirectoryError):
            raise ProfileError(
                f"profile: {self.address} holds no {PROFILE_FILE}; make one with `s2sw profile build`"
            ) from None
        except ValueError as error:
            raise ProfileError(f"profile: {self.address} {error}") from None
        except (OSError, ScreeningError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise ProfileError(f"profile: {self.address} cannot be read ({why})") from None

    def write(self, record: ProfileRecord, before: ProfileRecord | None = None) -> None:
        """Write the record; its groups' files lie there already.

        before: the record that it takes the place of, whose files stay, since a run may still read them. What
        neither names goes: files of earlier records, and of a building that was killed.
        """
        self._own()
        self._output.create(MARKER, b"a profile of s2sw; no source is looked for here\n")
        self._output.write(PROFILE_FILE, profile_bytes(record, self._key))
        named = {group.file for one in (record, before) if one for group in one.groups}
        for name in self._output.names(GROUPS_FOLDER):
            if is_bank(name) and name not in named:
                self._output.delete(name)

    def write_bank(self, data: bytes) -> BankFile:
        """Write a group's file, under a name of its content, so that none takes the place of another."""
        self._own()
        file = bank_file(data)
        self._output.write(file.name, data)
        return file

    def read_bank(self, group: GroupRecord, patches: int) -> tuple[bytes, Pictures]:
        """Return a group's file, every byte and its header checked, and whose its pictures are.

        patches: of a picture, as the detector has them. Raises ProfileError.
        """
        data = self._read_file(group, group.most_bytes(patches))
        try:
            return data, pictures_of(data, group, patches)
        except ValueError as error:
            raise self.damaged(group, str(error)) from None

    def file_bytes(self, name: str, most: int) -> bytes:
        """Return a group's file, unchecked. most: bytes at most. Raises OSError, UserError."""
        return self._output.read(name, most)

    def damaged(self, group: GroupRecord, why: str) -> ProfileError:
        """Return the error of a group's file that cannot be used."""
        why = printable(why)[:80]
        return ProfileError(f"profile: {self.address}/{group.file} is no bank ({why}); build it again")

    def _read_file(self, group: GroupRecord, most: int) -> bytes:
        problem = f"profile: {self.address}/{group.file}"
        try:
            data = self.file_bytes(group.file, most)
        except (OSError, ScreeningError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise ProfileError(f"{problem} cannot be read ({why}); build the profile again") from None
        if hashlib.sha256(data).hexdigest() != group.sha256:
            raise ProfileError(f"{problem} was changed since it was built; build the profile again")
        return data

    def _own(self) -> None:
        if isinstance(self._output, LocalOutput):
            for folder in (Path(self.address), Path(self.address) / GROUPS_FOLDER):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
