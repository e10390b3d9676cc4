"""What came before, from run to run: the states of a stream in the private folder.

A state is written before the objects part whose objects it holds, and counts only once that part is there. So
whatever ends a run, the next one continues from what is committed.
"""

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s2sw.pipeline.privacy.ids import check_private_folder
from s2sw.pipeline.profile.folder import ProfileError
from s2sw.schemas.whole_files import write_whole

if TYPE_CHECKING:  # it imports torch
    import torch

    from s2sw.pipeline.profile.online import OnlineRanking

SUFFIX = ".safetensors"
FACTS = "stream"
"""Names the entry of a state's header that is JSON."""
MOST_HEADER = 16 << 20
_LENGTH = struct.Struct("<Q")

Committed = Callable[[str, str], bool]
"""Tells whether a run has committed an object: id of the run, id of the object ("" for any, of any run)."""


class Stream:
    """The states of one output under one fingerprint, and the ranking that continues the newest one."""

    def __init__(self, folder: Path) -> None:
        """Take the private folder of an output's streams. It may not exist yet."""
        self._folder, self._opened, self._state = folder, folder, b""
        self._ranking: OnlineRanking | None = None

    def open(self, fingerprint: str, committed: Committed) -> None:
        """Read the newest state that counts. Raises ProfileError if there are rows without a state."""
        self._opened = self._folder / fingerprint
        for folder in (self._folder, self._opened):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_private_folder(folder, "profile")
        self._state = b""
        for path in self._states():
            data = path.read_bytes()
            facts = facts_of(data)
            if facts is not None and committed(facts["run"], facts["last"]):
                self._state = data
                return
            path.unlink()
        if committed("", ""):
            raise ProfileError(
                "profile: online: the private folder lacks the state that belongs to these results; "
                "use another output, or --profile none"
            )

    def ranking(self, device: str, dtype: "torch.dtype") -> "OnlineRanking":
        """Return what ranks slices, as the state left it."""
        from s2sw.pipeline.profile.online import OnlineRanking  # here: it imports torch

        self._ranking = OnlineRanking.of_state(self._state, device, dtype)
        return self._ranking

    def save(self, part: str, ids: Sequence[str]) -> None:
        """Keep the state with the objects of a part, which is about to be committed.

        part: its name, which begins with the id of its run.
        """
        if self._ranking is None:
            return
        before = self._states()
        number = int(before[0].stem) + 1 if before else 0
        facts = {"run": part.rpartition("-")[0], "last": ids[-1]}
        write_whole(self._opened / f"{number:08}{SUFFIX}", self._ranking.state(ids, facts))
        for path in before[1:]:
            path.unlink()

    def _states(self) -> list[Path]:
        """Return the files of states, the newest first."""
        return sorted(self._opened.glob(f"[0-9]*{SUFFIX}"), reverse=True)


def facts_of(data: bytes) -> dict[str, Any] | None:
    """Return what the header of a state says, None where these bytes are none."""
    try:
        (length,) = _LENGTH.unpack_from(data)
        if length > MOST_HEADER:
            return None
        header = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        facts: dict[str, Any] = json.loads(header["__metadata__"][FACTS])
        return facts if {"run", "last", "banks"} <= facts.keys() else None
    except (ValueError, LookupError, TypeError, struct.error, AttributeError, RecursionError):
        return None
