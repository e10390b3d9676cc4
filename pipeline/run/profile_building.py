"""Building a profile: a pass over sampled objects, one over some with seeded defects, then the groups."""

import contextlib
import functools
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from s2sw.model.rarity.features import Features
from s2sw.pipeline.listing.sample import sample
from s2sw.pipeline.listing.todo import Todo, TodoReader
from s2sw.pipeline.profile.banks import write_bank
from s2sw.pipeline.profile.building import Draft, Sampled, bank_of, drafts, file_of, group_record, judge
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.run.executor import Executor, LostGroup
from s2sw.pipeline.run.passes import Passes
from s2sw.pipeline.stages.collecting import FinishedObject
from s2sw.pipeline.stages.decoding import DecodeStage
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.sample_decoding import EACH, SampleDecode, SeedDecode, suffix
from s2sw.pipeline.stages.sampling import unpack
from s2sw.schemas.errors import FailedError
from s2sw.schemas.outcomes import Status
from s2sw.schemas.profile import GroupRecord, ProfileRecord

log = logging.getLogger(__name__)

SAMPLE_GROUP = 8
"""Objects of a decode task: the same on every machine."""
SLICES = 256
"""Slices wanted of all sampled objects of one kind of file, so that few volumes fill a bank as well."""
SEEDS = 48
"""Seeded defects of a group."""


class Watch(Protocol):
    """Whom a building tells what it does, and asks whether to go on."""

    def say(self, text: str) -> None:
        """Tell what is being done."""

    def too_late(self) -> bool:
        """Tell whether the time window is over."""


class NoGroupsError(FailedError):
    """No profile can be made; the message says why."""


class Samples:
    """Takes what comes of sampled objects (a ``Sink``); features go to files in a private folder."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        folder.mkdir(mode=0o700, parents=True)
        self.found: list[Sampled] = []
        self.addresses: dict[str, str] = {}
        self.deferred = False
        self._folder, self._say = folder, say

    def finish(self, finished: FinishedObject, reader: TodoReader) -> None:
        """Keep the slices of an object; one that could not be screened gives none."""
        self.deferred |= finished.status is Status.DEFERRED
        owner, stored = reader.row(finished.number)
        self.addresses[owner] = stored.address
        for row in finished.slices:
            path = self._folder / f"{len(self.found):06}.bin"
            path.write_bytes(row["features"])
            self.found.append(
                Sampled(
                    owner,
                    row["slice_index"],
                    row["case"],
                    tuple(row["groups"]),
                    row["image_score"],
                    np.frombuffer(row["tokens"], np.float32),
                    functools.partial(_read, path),
                    row["seed_size"] or 0.0,
                    row["seed_contrast"] or 0.0,
                )
            )

    def tick(self) -> None:
        """Nothing is committed before all is there."""

    def say(self, text: str) -> None:
        """Tell what is being done."""
        self._say(text)


def _read(path: Path) -> Features:
    return unpack(path.read_bytes())


@dataclass(frozen=True)
class ProfileBuilder:
    """Builds what is missing of a profile. Nothing of it is written before a group is whole.

    decode: the stage of the run, with its grouping. detect: that of the run. work: a private folder, removed
    afterwards by its owner.
    """

    folder: ProfileFolder
    decode: DecodeStage
    detect: DetectSettings
    executor: Callable[[Todo], contextlib.AbstractContextManager[Executor]]
    work: Path
    watch: Watch
    give_up_after: int
    open_labels: bool = False

    def build(self, manifest: Path, record: ProfileRecord) -> ProfileRecord | None:
        """Add the missing groups of a listing to a profile, whose record has none where it is new.

        Returns the new record, written; None where the time window ended first, or there is no group.
        """
        started = time.monotonic()
        rows = sample(manifest)
        self.watch.say(f"building the archive's profile: sampling {len(rows)} objects")
        kinds = Counter(suffix(row["member"] or row["uri"]) for row in rows.to_pylist())
        slices = {kind: -(-SLICES // count) for kind, count in kinds.items()}
        todo = Todo.write(self.work / "sample", [rows], SAMPLE_GROUP)
        with self.executor(todo) as executor:
            decode = SampleDecode(**self._of_run(todo), slices=slices)
            found = self._pass(executor, decode, "sampled")
            known = [group.name for group in record.groups]
            plan = drafts(found.found, known)
            if found.deferred or self.watch.too_late() or not (plan or known):
                return None
            seeds = self._seed(executor, plan, todo) if plan else []
        groups = [*record.groups, *self._groups(plan, seeds, found, founding=not known)]
        new = record.model_copy(update={"groups": tuple(groups)})
        new = new if known else new.named()
        if not groups or self.watch.too_late():
            return None
        self.folder.write(new)
        seconds = time.monotonic() - started
        log.info(
            "%s", f"profile: {len(groups)} groups, {len(groups) - len(known)} of them new, {seconds:.0f} s"
        )
        return new

    def _of_run(self, todo: Todo) -> dict[str, Any]:
        names = DecodeStage.__dataclass_fields__
        return {name: getattr(self.decode, name) for name in names} | {"todo": todo}

    def _pass(self, executor: Executor, decode: DecodeStage, name: str) -> Samples:
        samples = Samples(self.work / name, self.watch.say)
        detect = replace(self.detect, profile=None, sampling=True)

        def results(todo: Todo, number: int, lost: LostGroup) -> Iterator[pa.Table]:
            return executor.run_pass(decode.over(todo), detect, number, lost)

        def folder_of(number: int) -> Path:
            return self.work / f"{name}-pass-{number}"

        Passes(results, samples, folder_of, self.watch.too_late, self.give_up_after).run(decode.todo)
        return samples

    def _seed(self, executor: Executor, plan: list[Draft], todo: Todo) -> list[Sampled]:
        self.watch.say(f"building the archive's profile: seeding defects, {len(plan)} groups")
        chosen: defaultdict[str, dict[int, int]] = defaultdict(dict)
        for draft in plan:
            pictures = draft.pictures[:SEEDS]
            for one in pictures:
                each = min(EACH, -(-SEEDS // len(pictures)))
                before = chosen[one.owner].get(one.slice_index, 0)
                chosen[one.owner][one.slice_index] = max(before, each)
        numbers = {owner: n for n, owner in enumerate(o for g in range(todo.groups) for o in todo.ids_of(g))}
        rows = TodoReader(todo).batch(numbers[owner] for owner in chosen)
        pairs = Todo.write(self.work / "seeds", [rows], 2)
        return self._pass(executor, SeedDecode(**self._of_run(pairs), chosen=dict(chosen)), "seeded").found

    def _groups(
        self, plan: list[Draft], seeds: list[Sampled], found: Samples, founding: bool
    ) -> Iterator[GroupRecord]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for number, draft in enumerate(plan, start=1):
            self.watch.say(f"building the archive's profile: group {number} of {len(plan)}")
            mine = {(one.owner, one.slice_index) for one in draft.pictures}
            spoilt = [one for one in seeds if (one.owner, one.slice_index // EACH) in mine]
            spoilt.sort(key=lambda one: (one.owner, one.slice_index))
            kept = bank_of(draft)
            judged = judge(kept, draft.pictures, spoilt)
            if judged is None:
                continue
            digest = write_bank(self.folder, file_of(draft.name), kept)
            label = self._label(draft, found) if self.open_labels else ""
            yield group_record(draft, digest, judged, label, now, founding)

    def _label(self, draft: Draft, found: Samples) -> str:
        grouping = self.decode.grouping
        assert grouping is not None
        return grouping.label(draft.name, found.addresses[draft.pictures[0].owner])
