"""Several detectors as one: weighted scores and maps, and one pass through a tower that members share."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from s2sw.model.bundles.files import new_folder, read_bundle, write_bundle
from s2sw.model.bundles.record import ENSEMBLE, LABELS, BundleRecord, member_record
from s2sw.model.detectors.base import FaceDetector, Scores
from s2sw.model.detectors.contract import Detector
from s2sw.model.detectors.kinds import DetectorKind
from s2sw.model.detectors.options import BuildOptions
from s2sw.model.detectors.registry import detector_kind
from s2sw.model.detectors.tower_detector import TwoStreamDetector
from s2sw.model.errors import BundleError
from s2sw.model.maps import MapLayer
from s2sw.model.precision import Precision
from s2sw.model.towers.visual import TowerOutput


def build_ensemble(out_dir: str | Path, members: Mapping[str | Path, float]) -> Path:
    """Build one bundle of several. Returns its folder.

    members: the folder of each bundle and its weight, above 0; weights are divided by their sum. The new
    bundle is self-contained; a tower that members share is stored once. Raises BundleError.
    """
    out = new_folder(out_dir)
    total = sum(members.values())
    if len(members) < 2 or not all(0 < weight < math.inf for weight in members.values()):
        raise BundleError(
            f"members: {dict(members)} given; two bundles at least, with weights above 0, are needed"
        )
    read = [read_bundle(Path(folder)) for folder in members]
    records = [record for record, _ in read]
    if any(record.detector == ENSEMBLE for record in records):
        raise BundleError("members: an ensemble cannot be a member; give the bundles that it was made of")
    tensors: dict[str, Tensor] = {}
    holders: dict[str, int] = {}
    entries = []
    for number, ((record, own), weight) in enumerate(zip(read, members.values(), strict=True)):
        holder = holders.setdefault(_tower_digest(own), number)
        kept = {n: t for n, t in own.items() if holder == number or not n.startswith("visual.")}
        tensors |= {f"{number}.{name}": tensor for name, tensor in kept.items()}
        what = record.model_dump(mode="json", exclude=set(LABELS))
        entries.append({"weight": weight / total, "tower": holder, "record": what})
    return write_bundle(out, tensors, _record(records, entries))


def _record(records: list[BundleRecord], entries: list[dict[str, Any]]) -> BundleRecord:
    """Return the record of an ensemble: input and grid of the member with the largest input."""
    largest = max(records, key=lambda record: record.image_size)
    names = _class_names(records)
    detectors = [record.detector for record in records]
    return largest.model_copy(
        update={
            "detector": ENSEMBLE,
            "settings": {"members": entries} | ({"class_names": names} if names else {}),
            "family_names": tuple(_unique(detectors)),
            "clip": ", ".join(dict.fromkeys(record.clip for record in records)),
            "prompts": "; ".join(f"{record.detector}: {record.prompts}" for record in records),
            "trained": all(record.trained for record in records),
        }
    )


def _class_names(records: list[BundleRecord]) -> tuple[str, ...]:
    named = {record.class_names for record in records} - {()}
    if len(named) > 1:
        lists = " and ".join(", ".join(names) for names in sorted(named))
        raise BundleError(f"members: class names differ ({lists}); build members with the same ones")
    return named.pop() if named else ()


def _unique(names: Sequence[str]) -> list[str]:
    return [n if names.count(n) == 1 else f"{n}_{names[: i + 1].count(n)}" for i, n in enumerate(names)]


def _tower_digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(n for n in tensors if n.startswith("visual.")):
        digest.update(f"{name} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


class Ensemble(FaceDetector):
    """The detector over a loaded bundle of members. Family scores: each member's image score."""

    def __init__(
        self, record: BundleRecord, tensors: dict[str, Tensor], device: str, precision: Precision
    ) -> None:
        super().__init__(record, device, precision)
        entries = record.settings["members"]
        self.shares = [float(entry["weight"]) for entry in entries]
        # on the device once: copying them with every batch would make the host wait
        self._weights = torch.tensor(self.shares, device=self.device)
        self.members: list[Any] = [
            _load(entry, number, tensors, device, precision) for number, entry in enumerate(entries)
        ]
        self.passes = _passes(self.members, [entry["tower"] for entry in entries])
        self._layers, self._places = _merged([member.map_layers for member in self.members], self.shares)

    @property
    @override
    def map_layers(self) -> tuple[MapLayer, ...]:
        """The members' layers; those that are upsampled alike are one."""
        return self._layers

    @property
    @override
    def tap_names(self) -> tuple[str, ...]:
        names: tuple[str, ...] = self.members[0].tap_names
        return names

    @override
    def score(self, x: Tensor, classes: Tensor) -> Scores:
        """Return weighted means: of the members' image scores, which are the families, and of their maps."""
        found: dict[int, Scores] = {}
        for numbers in self.passes:
            first = self.members[numbers[0]]
            own = self._input(first, x)
            if _shares(first):
                heads = shared_heads([self.members[n] for n in numbers], own, classes)
                found |= dict(zip(numbers, heads, strict=True))
            else:
                found[numbers[0]] = first.score(own, classes)
        ordered = [found[number] for number in range(len(self.members))]
        scores = torch.stack([one.image for one in ordered], dim=1)
        tokens = self._mixed([one.tokens.flatten(1) for one in ordered])
        return Scores(scores @ self._weights.to(scores.device), scores, tokens)

    def _input(self, member: FaceDetector, x: Tensor) -> Tensor:
        """Return pictures as a member takes them; what has another side is made of the rounded pixels."""
        theirs, ours = member.record, self.record
        if (theirs.image_size, theirs.mean, theirs.std) == (ours.image_size, ours.mean, ours.std):
            return x
        pixels = x.mul(self._std).add(self._mean).mul(255).round().clamp(0, 255).byte()
        return member.prepare(pixels.permute(0, 2, 3, 1))

    def _mixed(self, tokens: list[Tensor]) -> Tensor:
        """Return the ensemble's token map (B, M): weights of linear layers are in the numbers themselves."""
        parts: list[Tensor | None] = [None] * len(self._layers)
        for member, share, places, numbers in zip(
            self.members, self.shares, self._places, tokens, strict=True
        ):
            sizes = [layer.grid**2 for layer in member.map_layers]
            for layer, place, part in zip(
                member.map_layers, places, torch.split(numbers, sizes, dim=1), strict=True
            ):
                weighted = part if layer.logit else share * layer.weight * part
                before = parts[place]
                parts[place] = weighted if before is None else before + weighted
        return torch.cat([part for part in parts if part is not None], dim=1)

    @override
    def encode_image(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the raw image and patch features of the first member."""
        found: tuple[Tensor, list[Tensor]] = self.members[0].encode_image(self._input(self.members[0], x))
        return found

    @override
    def patch_features(self, x: Tensor) -> list[tuple[str, Tensor]]:
        """Return the taps of the members that have the ensemble's grid, each named by its member."""
        x = self._checked(x.to(self.device, torch.float32))
        return [
            (f"{name}.{tap}", patches)
            for name, member in zip(self.family_names, self.members, strict=True)
            if member.grid == self.grid
            for tap, patches in member.patch_features(self._input(member, x))
        ]


def _load(
    entry: Mapping[str, Any], number: int, tensors: Mapping[str, Tensor], device: str, precision: Precision
) -> Detector:
    record = member_record(entry["record"])
    own = {n.partition(".")[2]: t for n, t in tensors.items() if n.startswith(f"{number}.")}
    visual = f"{entry['tower']}.visual."
    own |= {n.partition(".")[2]: t for n, t in tensors.items() if n.startswith(visual)}
    return detector_kind(record.detector).load(record, own, device, precision)


def _shares(member: Any) -> bool:
    return isinstance(member, TwoStreamDetector) and member.shares_streams


def _passes(members: Sequence[Any], towers: Sequence[int]) -> list[list[int]]:
    """Group members whose two-stream passes are the same but for the taps, and let them share the tower."""
    groups: dict[Any, list[int]] = {}
    for number, (member, tower) in enumerate(zip(members, towers, strict=True)):
        key: Any = number
        if _shares(member):
            record = member.record
            given = record.image_size, record.mean, record.std, record.vision, member.positions
            key = tower, given, member.start
        groups.setdefault(key, []).append(number)
    for first, *others in groups.values():
        for number in others:
            members[number].tower = members[first].tower
    return list(groups.values())


def shared_heads(members: Sequence[TwoStreamDetector], x: Tensor, classes: Tensor) -> list[Scores]:
    """Return each member's scores of one pass over pictures (B, 3, S, S)."""
    first, taps = members[0], sorted({tap for m in members for tap in m.tap_blocks})
    seen = first.tower.two_stream(first.tower.embed(x), first.start, taps)
    tapped = dict(zip(taps, seen.taps, strict=True))
    return [m.heads(TowerOutput(seen.final, [tapped[tap] for tap in m.tap_blocks]), classes) for m in members]


def _merged(
    layers: Sequence[tuple[MapLayer, ...]], shares: Sequence[float]
) -> tuple[tuple[MapLayer, ...], list[list[int]]]:
    """Return the layers of an ensemble, and for each member's layers their places among them."""
    found: list[MapLayer] = []
    places: list[list[int]] = []
    for own, share in zip(layers, shares, strict=True):
        places.append([])
        for layer in own:
            if layer.logit:  # a sigmoid comes between: it stays on its own, weighted after it
                found.append(replace(layer, weight=share * layer.weight))
            elif (alike := replace(layer, weight=1.0)) not in found:
                found.append(alike)
            places[-1].append(len(found) - 1 if layer.logit else found.index(alike))
    return tuple(found), places


KIND = DetectorKind(None, Ensemble, BuildOptions)
