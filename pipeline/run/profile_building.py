"""Building a profile: a pass over sampled objects, one over some with seeded defects, then the groups."""

import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from s2sw.pipeline.listing.sample import sample
from s2sw.pipeline.listing.todo import Todo, TodoReader
from s2sw.pipeline.profile.banks import write_bank
from s2sw.pipeline.profile.building import Draft, Sampled, bank_of, drafts, file_of, group_record, judge
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.run.executor import Executor, LostGroup
from s2sw.pipeline.run.passes import Passes
from s2sw.pipeline.run.profile_samples import Samples, kept_samples
from s2sw.pipeline.stages.decoding import DecodeStage
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.sample_decoding import EACH, SampleDecode, SeedDecode, suffix
from s2sw.schemas.errors import FailedError
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


@dataclass(frozen=True)
class _Sampling:
    """A sample of the listing while it is made use of. addresses: id of an object to its address."""

    executor: Executor
    reader: TodoReader
    addresses: dict[str, str]
    kept: Path

    @classmethod
    def of(cls, executor: Executor, todo: Todo, kept: Path) -> "_Sampling":
        reader = TodoReader(todo)
        rows = map(reader.row, range(todo.objects))
        return cls(executor, reader, {owner: stored.address for owner, stored in rows}, kept)


@dataclass(frozen=True)
class ProfileBuilder:
    """Builds what is missing of a profile. Nothing of it is written before a group is whole.

    decode: the stage of the run, with its grouping. detect: that of the run. work: a private folder, removed
    afterwards by its owner. state: one in which sampled objects stay until the profile is written, so that a
    building that was killed goes on.
    """

    folder: ProfileFolder
    decode: DecodeStage
    detect: DetectSettings
    executor: Callable[[Todo], contextlib.AbstractContextManager[Executor]]
    work: Path
    state: Path
    watch: Watch
    give_up_after: int
    open_labels: bool = False

    def build(self, manifest: Path, record: ProfileRecord) -> ProfileRecord | None:
        """Add the missing groups of a listing to a profile, whose record has none where it is new.

        Returns the new record, written; None where the time window ended first, or there is no group. Raises
        UserError where another process builds it.
        """
        started = time.monotonic()
        rows = sample(manifest)
        with kept_samples(self.state, self._digest(record)) as kept:
            groups = self._built(rows, kept, [group.name for group in record.groups])
            if groups is None:
                return None
            new = record.model_copy(update={"groups": (*record.groups, *groups)})
            new = new if record.groups else new.named()
            if not new.groups or self.watch.too_late():
                return None
            self.folder.write(new)
            shutil.rmtree(kept, ignore_errors=True)
        seconds = time.monotonic() - started
        log.info("%s", f"profile: {len(new.groups)} groups, {len(groups)} of them new, {seconds:.0f} s")
        return new

    def _digest(self, record: ProfileRecord) -> str:
        """Return what sampled slices depend on, but for the objects themselves, which their ids name."""
        settings = {"version", "bundle", "precision", "decode", "key_id", "settings"}
        return _digest(record.model_dump(mode="json", include=settings))

    def _built(self, rows: pa.RecordBatch, kept: Path, known: list[str]) -> list[GroupRecord] | None:
        """Return the new groups; None where objects wait for another run, or no group is large enough."""
        kinds = Counter(suffix(row["member"] or row["uri"]) for row in rows.to_pylist())
        slices = {kind: -(-SLICES // count) for kind, count in kinds.items()}
        todo = Todo.write(self.work / "sample", [rows], SAMPLE_GROUP)
        with self.executor(todo) as executor:
            sampling = _Sampling.of(executor, todo, kept)
            owners = list(sampling.addresses)
            decode = SampleDecode(**self._of_run(todo), slices=slices)
            samples = Samples(kept / f"sampled-{_digest(slices)}", self.watch.say)
            self._say_sampling(len(owners), len(samples.known() & set(owners)))
            self._pass(sampling, decode, samples, [(owner,) for owner in owners], SAMPLE_GROUP)
            plan = drafts(samples.of(owners), known)
            if samples.deferred or self.watch.too_late() or not (plan or known):
                return None
            seeds = self._seeded(sampling, plan) if plan else []
        return list(self._groups(sampling, plan, seeds, founding=not known))

    def _say_sampling(self, objects: int, before: int) -> None:
        earlier = f", {before} of them by an earlier try" if before else ""
        self.watch.say(f"building the archive's profile: sampling {objects} objects{earlier}")

    def _of_run(self, todo: Todo) -> dict[str, Any]:
        names = DecodeStage.__dataclass_fields__
        return {name: getattr(self.decode, name) for name in names} | {"todo": todo}

    def _pass(
        self,
        sampling: _Sampling,
        decode: DecodeStage,
        samples: Samples,
        groups: list[tuple[str, ...]],
        size: int,
    ) -> None:
        """Sample the objects of these groups, but for groups of which an earlier try has all."""
        known = samples.known()
        missing = [owner for group in groups if not known.issuperset(group) for owner in group]
        if not missing:
            return
        numbers = {owner: number for number, owner in enumerate(sampling.addresses)}
        name = samples.folder.name
        rows = sampling.reader.batch(numbers[owner] for owner in missing)
        detect = replace(self.detect, profile=None, sampling=True)

        def results(todo: Todo, number: int, lost: LostGroup) -> Iterator[pa.Table]:
            return sampling.executor.run_pass(replace(decode, todo=todo), detect, number, lost)

        def folder_of(number: int) -> Path:
            return self.work / f"{name}-pass-{number}"

        todo = Todo.write(self.work / name, [rows], size)
        Passes(results, samples, folder_of, self.watch.too_late, self.give_up_after).run(todo)

    def _seeded(self, sampling: _Sampling, plan: list[Draft]) -> list[Sampled]:
        """Return slices with defects. A defect may be a piece of the other object of a pair, so that pairs
        are made as a whole."""
        self.watch.say(f"building the archive's profile: seeding defects, {len(plan)} groups")
        chosen = _defects(plan)
        owners = list(chosen)
        pairs = [tuple(owners[place : place + 2]) for place in range(0, len(owners), 2)]
        samples = Samples(sampling.kept / f"seeded-{_digest(list(chosen.items()))}", self.watch.say)
        decode = SeedDecode(**self._of_run(self.decode.todo), chosen=chosen)
        self._pass(sampling, decode, samples, pairs, 2)
        return samples.of(owners)

    def _groups(
        self, sampling: _Sampling, plan: list[Draft], seeds: list[Sampled], founding: bool
    ) -> Iterator[GroupRecord]:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for number, draft in enumerate(plan, start=1):
            self.watch.say(f"building the archive's profile: group {number} of {len(plan)}")
            mine = {(one.owner, one.slice_index) for one in draft.pictures}
            spoilt = [one for one in seeds if (one.owner, one.slice_index // EACH) in mine]
            kept = bank_of(draft)
            judged = judge(kept, draft.pictures, spoilt)
            if judged is None:
                continue
            digest = write_bank(self.folder, file_of(draft.name), kept)
            label = self._label(draft, sampling) if self.open_labels else ""
            yield group_record(draft, digest, judged, label, now, founding)

    def _label(self, draft: Draft, sampling: _Sampling) -> str:
        grouping = self.decode.grouping
        assert grouping is not None
        return grouping.label(draft.name, sampling.addresses[draft.pictures[0].owner])


def _defects(plan: list[Draft]) -> dict[str, dict[int, int]]:
    """Return which slices of which objects get how many defects."""
    chosen: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for draft in plan:
        pictures = draft.pictures[:SEEDS]
        each = min(EACH, -(-SEEDS // len(pictures)))
        for one in pictures:
            before = chosen[one.owner].get(one.slice_index, 0)
            chosen[one.owner][one.slice_index] = max(before, each)
    return dict(chosen)


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
