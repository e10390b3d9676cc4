"""Building a profile: a pass over sampled objects, one over some with seeded defects, then the groups."""

import contextlib
import hashlib
import json
import logging
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from s2sw.pipeline.listing.sample import sample
from s2sw.pipeline.listing.todo import Todo, TodoReader
from s2sw.pipeline.profile.bank_header import Pictures
from s2sw.pipeline.profile.banks import read_bank, write_bank
from s2sw.pipeline.profile.building import bank_of, group_record, judge, tiles_of
from s2sw.pipeline.profile.drafting import Draft, Reviewed, Sampled, drafts, grown, is_enough, members_of
from s2sw.pipeline.profile.folder import ProfileFolder
from s2sw.pipeline.run.executor import Executor, LostGroup
from s2sw.pipeline.run.passes import Passes
from s2sw.pipeline.run.profile_samples import Samples, kept_samples
from s2sw.pipeline.stages.decoding import DecodeStage
from s2sw.pipeline.stages.detect_settings import DetectSettings
from s2sw.pipeline.stages.sample_decoding import EACH, Place, SampleDecode, SeedDecode, suffix
from s2sw.schemas.errors import FailedError
from s2sw.schemas.profile import GroupRecord, ProfileRecord

log = logging.getLogger(__name__)

SAMPLE_GROUP = 8
"""Objects of a decode task: the same on every machine."""
SLICES = 256
"""Slices wanted of all sampled objects of one kind of file, so that few volumes fill a bank as well."""
SEEDS = 48
"""Seeded defects of a group."""
WHOLE_CHANGES = 10
"""Pictures of a group that are changed as a whole, once each: they choose nothing, more would take longer."""


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

    decode: the stage of the run, with its grouping. detect: that of the run. patches: of a picture, as the
    detector has them. work: a private folder, removed afterwards by its owner. state: one in which sampled
    objects stay until the profile is written, so that a building that was killed goes on.
    """

    folder: ProfileFolder
    decode: DecodeStage
    detect: DetectSettings
    patches: int
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
        known = [group.name for group in record.groups]
        return self._made(sample(manifest), record, lambda found: drafts(found, known))

    def update(self, manifest: Path, record: ProfileRecord, reviewed: Reviewed) -> ProfileRecord | None:
        """Let later pictures of a listing into the banks of a profile, and add the groups that it lacks.

        Returns the new record, written, or the same one where nothing changes; else as ``build``.
        """
        rows = sample(manifest, {owner for owner, _ in reviewed.normal})

        def plan(found: list[Sampled]) -> list[Draft]:
            members = members_of(found)
            changed = [
                grown(group, self._pictures(group), members.get(group.name, []), reviewed)
                for group in record.groups
            ]
            known = [group.name for group in record.groups]
            return [*filter(None, changed), *drafts(found, known, reviewed)]

        return self._made(rows, record, plan)

    def _pictures(self, group: GroupRecord) -> Pictures:
        return self.folder.read_bank(group, self.patches)[1]

    def _made(
        self, rows: pa.RecordBatch, record: ProfileRecord, plan: Callable[[list[Sampled]], list[Draft]]
    ) -> ProfileRecord | None:
        started = time.monotonic()
        with kept_samples(self.state, self._digest(record)) as kept:
            made = self._groups_of(rows, kept, plan)
            if made is None:
                return None
            new = record.with_groups(*made)
            if new.fingerprint != record.fingerprint and record.groups:
                new = new.model_copy(update={"updated": _now()})
            if not new.groups or self.watch.too_late():
                return None
            self.folder.write(new, record)
            shutil.rmtree(kept, ignore_errors=True)
        seconds = time.monotonic() - started
        log.info("%s", f"profile: {len(new.groups)} groups, {len(made[0])} of them new, {seconds:.0f} s")
        return new

    def _digest(self, record: ProfileRecord) -> str:
        """Return what sampled slices depend on, but for the objects themselves, which their ids name."""
        settings = {"version", "bundle", "precision", "decode", "key_id", "settings", "tiles"}
        return _digest(record.model_dump(mode="json", include=settings))

    def _groups_of(
        self, rows: pa.RecordBatch, kept: Path, plan: Callable[[list[Sampled]], list[Draft]]
    ) -> tuple[list[GroupRecord], list[str]] | None:
        """Return the groups of a plan, and names of those that are none any more; None where objects wait for
        another run."""
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
            if samples.deferred or self.watch.too_late():
                return None
            planned = plan(samples.of(owners))
            fit = [draft for draft in planned if is_enough(draft.pictures)]
            seeds = self._seeded(sampling, fit) if fit else []
        made = list(self._groups(sampling, fit, seeds))
        names = {group.name for group in made}
        return made, [draft.name for draft in planned if draft.name not in names]

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
            return sampling.executor.run_pass(decode.over(todo), detect, number, lost)

        def folder_of(number: int) -> Path:
            return self.work / f"{name}-pass-{number}"

        todo = Todo.write(self.work / name, [rows], size)
        Passes(results, samples, folder_of, self.watch.too_late, self.give_up_after).run(todo)

    def _seeded(self, sampling: _Sampling, plan: list[Draft]) -> list[Sampled]:
        """Return slices with defects. A defect may be a piece of the other object of a pair, so that pairs
        are made as a whole."""
        self.watch.say(f"building the archive's profile: seeding defects, {len(plan)} groups")
        chosen = _defects(plan, sampling.addresses)
        owners = list(chosen)
        pairs = [tuple(owners[place : place + 2]) for place in range(0, len(owners), 2)]
        if not owners:
            return []
        whole = _whole_changes(plan, chosen)
        named = [(owner, sorted(places.items()), sorted(whole[owner])) for owner, places in chosen.items()]
        samples = Samples(sampling.kept / f"seeded-{_digest(named)}", self.watch.say)
        decode = SeedDecode(**self._of_run(self.decode.todo), chosen=chosen, whole=whole)
        self._pass(sampling, decode, samples, pairs, 2)
        return samples.of(owners)

    def _groups(self, sampling: _Sampling, plan: list[Draft], seeds: list[Sampled]) -> Iterator[GroupRecord]:
        now = _now()
        for number, draft in enumerate(plan, start=1):
            self.watch.say(f"building the archive's profile: group {number} of {len(plan)}")
            mine = {(one.owner, one.slice_index, one.view) for one in draft.pictures}
            spoilt = [one for one in seeds if (one.owner, one.slice_index, one.view) in mine]
            before = read_bank(self.folder, draft.before, self.patches) if draft.before else None
            kept = bank_of(draft, before)
            judged = judge(kept, spoilt, draft.before, tiles_of(draft))
            if judged is not None:
                file = write_bank(self.folder, kept)
                yield group_record(draft, file, judged, self._label(draft, sampling), now)

    def _label(self, draft: Draft, sampling: _Sampling) -> str:
        if draft.before or not self.open_labels:
            return draft.before.label if draft.before else ""
        grouping = self.decode.grouping
        assert grouping is not None
        return grouping.label(draft.name, sampling.addresses[draft.pictures[0].owner])


def _defects(plan: list[Draft], listed: Container[str]) -> dict[str, dict[Place, int]]:
    """Return which places of which objects, of those that are listed, get how many defects."""
    chosen: defaultdict[str, dict[Place, int]] = defaultdict(dict)
    for draft in plan:
        pictures = [one for one in draft.pictures if one.owner in listed][:SEEDS]
        each = min(EACH, -(-SEEDS // max(1, len(pictures))))
        for one in pictures:
            place = one.slice_index, one.view
            chosen[one.owner][place] = max(chosen[one.owner].get(place, 0), each)
    return dict(chosen)


def _whole_changes(plan: list[Draft], chosen: dict[str, dict[Place, int]]) -> dict[str, set[Place]]:
    """Return which places of the objects with defects are changed as a whole, too."""
    whole: dict[str, set[Place]] = {owner: set() for owner in chosen}
    for draft in plan:
        for one in [one for one in draft.pictures if one.owner in chosen][:WHOLE_CHANGES]:
            whole[one.owner].add((one.slice_index, one.view))
    return whole


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
