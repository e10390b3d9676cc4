"""Archives to measure profiles by, and what a bank and the detector say of their pictures, kept in files.

Everything that takes long happens here and once: what is chosen from it later (ways to combine, weights)
needs neither the detector nor the banks. Files are resumed where they are, one an archive.
"""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.profile_sets import Labelled, Pixels, elpv, folder_set
from s2sw.model import load_detector
from s2sw.model.detectors.contract import Detector
from s2sw.model.detectors.embedded import log_odds
from s2sw.model.detectors.finding import resolve_bundle
from s2sw.model.heads.stem_memory import remember
from s2sw.model.precision import Precision
from s2sw.model.rarity.choosing import resemblance
from s2sw.model.rarity.features import Features, compared_taps, features_of
from s2sw.model.rarity.seeding import KINDS, seeded
from s2sw.model.rarity.whole_changes import CHANGES, changed
from s2sw.model.synthetic.scenes import Scene, draw_archive, held_out_mixture, training_mixture
from s2sw.model.weights.shipped_files import HEAD
from s2sw.model.weights.tensors import read_tensors
from s2sw.pipeline.profile.banks import GroupBank
from s2sw.pipeline.profile.building import JUDGED, bank_of
from s2sw.pipeline.profile.drafting import Sampled, drafts
from s2sw.pipeline.profile.ranking import compared, own_row

SEEDS = 48
REAL = ("magnetic_tile", "ball_screw", "elpv", "mri_flair")
WHOLE = "mri_flair"
"""Taken as it is: its slices are of three patients, and most have a lesion."""
REFERENCES = 4
"""Normal pictures that few-shot is given."""
ONE_KIND, MIXED = 40, 10
NORMALS, SPOILT, LATER, FEW_SEEDS, FEW_CHANGES = 30, 3, 9, 14, 10
"""Of a generated archive: normal and spoilt pictures in the bank, spoilt ones beside it, seeded defects, and
pictures changed as a whole."""
Arrays = dict[str, NDArray[Any]]


def extract(detector: Detector, pictures: Iterable[tuple[Pixels, Arrays]]) -> Arrays:
    """Return what the detector gives of pictures, with what is known of each."""
    rows = []
    for pixels, facts in pictures:
        found, taps = detector.detect_with_patches(pixels[None])
        two = {f"tap{n}": tap[0].half().cpu().numpy() for n, tap in enumerate(compared_taps(taps))}
        tokens = found.token_map[0].float().numpy()
        rows.append({"score": float(found.score[0]), "tokens": tokens, **two, **facts})
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def kept(file: Path, make: Callable[[], Arrays]) -> Arrays:
    """Return the arrays of a file, which is made where there is none."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = file.with_suffix(".part.npz")
        np.savez(whole, **make())  # type: ignore[arg-type]
        whole.rename(file)
    with np.load(file) as found:
        return dict(found)


def load(name: str, data: Path, folder: Path, detector: Detector) -> tuple[Arrays, Arrays]:
    """Return what the detector gives of a set's pictures, and of the same with a seeded defect in each."""
    side = detector.image_size

    def pictures() -> Iterator[tuple[Pixels, Arrays]]:
        for one in elpv() if name == "elpv" else folder_set(data / name):
            yield _facts(one.seen(side))

    def seeds() -> Arrays:
        return extract(detector, _seeded(arrays["pix"], 2 * SEEDS))

    arrays = kept(folder / f"{name}.npz", lambda: extract(detector, pictures()))
    return arrays, kept(folder / f"{name}-seeds.npz", seeds)


def _facts(one: Labelled) -> tuple[Pixels, Arrays]:
    facts: dict[str, Any] = {"label": one.anomalous, "mask": np.packbits(one.mask), "name": one.name}
    return one.pixels, facts | {"pix": one.pixels}


def _seeded(pictures: Pixels, most: int) -> Iterator[tuple[Pixels, Arrays]]:
    """Yield some pictures of a set, evenly spread over it, each with one defect."""
    for place in np.unique(np.linspace(0, len(pictures) - 1, most).round().astype(int)):
        rng = np.random.default_rng([place, 1])
        donor = pictures[int(rng.integers(0, len(pictures)))]
        seed = seeded(rng, pictures[place], donor, KINDS[int(rng.integers(0, len(KINDS)))])
        if seed is not None:
            facts: dict[str, Any] = {"row": place, "size": seed.size, "contrast": seed.contrast}
            yield seed.picture, facts


def _changed(pictures: Pixels, most: int) -> Iterator[tuple[Pixels, Arrays]]:
    """Yield some pictures of a set, evenly spread over it, each changed as a whole."""
    for place in np.unique(np.linspace(0, len(pictures) - 1, most).round().astype(int)):
        rng = np.random.default_rng([place, 2])
        seed = changed(rng, pictures[place], list(CHANGES)[int(rng.integers(0, len(CHANGES)))])
        if seed is not None:
            facts: dict[str, Any] = {"row": place, "size": seed.size, "contrast": seed.contrast}
            yield seed.picture, facts


def _features(arrays: Arrays, row: int) -> Features:
    taps = [torch.tensor(arrays[f"tap{tap}"][row : row + 1]).float() for tap in range(2)]
    return features_of(taps)[0]


def sampled(arrays: Arrays, row: int, owner: int, case: str = "") -> Sampled:
    """Return a picture as a profile is made of it. owner: number of the picture that it is, or is made of."""
    tokens = arrays["tokens"][row].reshape(-1)
    features = partial(_features, arrays, row)
    return Sampled(f"{owner:05}", 0, case, ("all",), float(arrays["score"][row]), tokens, features)


def case_of(arrays: Arrays, row: int, name: str) -> str:
    """Return whose picture it is, where a set says so."""
    return str(arrays["name"][row]).split("_")[0] if name == WHOLE else ""


def archive(labels: NDArray[np.bool_], name: str, share: float, draw: int) -> list[int]:
    """Return the rows of an archive with this share of anomalous pictures; one set is taken whole."""
    if name == WHOLE:
        return list(range(len(labels)))
    normal, bad = np.flatnonzero(~labels), np.flatnonzero(labels)
    count = min(len(bad), round(len(normal) * share / (1 - share)))
    return sorted([*normal, *np.random.default_rng(draw).permutation(bad)[:count]])


def evidence(arrays: Arrays, seeds: Arrays, rows: Sequence[int], name: str, beside: Sequence[int]) -> Arrays:
    """Return what a bank of some rows of a set says of its pictures, of others, and of seeded defects.

    beside: rows of pictures that are not in the bank. own_*: of the bank's pictures that say what is usual.
    """
    everything = [sampled(arrays, row, row, case_of(arrays, row, name)) for row in rows]
    (draft,) = drafts(everything)
    bank = bank_of(draft)
    own = [(row, found) for row in range(min(JUDGED, len(bank.owners))) if _is(found := own_row(bank, row))]
    judged = [row for row, _ in own]
    known = {int(bank.owners[row]): found for row, found in own}
    in_bank = {int(owner) for owner in bank.owners}
    numbers = [n for n in range(len(seeds["score"])) if int(seeds["row"][n]) in in_bank][:SEEDS]
    bad = [
        sampled(seeds, n, int(seeds["row"][n]), case_of(arrays, int(seeds["row"][n]), name)) for n in numbers
    ]
    scored = everything + [sampled(arrays, row, row, case_of(arrays, row, name)) for row in beside]

    def known_or(one: Sampled) -> torch.Tensor:
        found = known.get(int(one.owner))
        return _beside(bank, one) if found is None else found

    alike = [resemblance(found, bank.bank.own(row)) for row, found in own]
    return {
        "rows": np.array([*rows, *beside]),
        # those that say what is usual were compared already, as the bank keeps them
        "rare": np.stack([known_or(one).numpy() for one in scored]),
        "own_score": bank.scores[judged].numpy(),
        "own_tokens": bank.tokens[judged].numpy(),
        "own_rare": torch.stack([found for _, found in own]).numpy(),
        "seed": np.array(numbers),
        "seed_rare": np.stack([_beside(bank, one).numpy() for one in bad]),
        "resemblance": np.float64(np.median(alike)),
    }


def _is(found: object) -> bool:
    return found is not None


def _beside(bank: GroupBank, one: Sampled) -> torch.Tensor:
    found = compared(bank, one.subject, one.features())
    assert found is not None
    return found


def few_shot(arrays: Arrays, draw: int) -> Arrays:
    """Return scores and maps of the detector that remembers a few normal pictures, and which these are."""
    normal = np.flatnonzero(~arrays["label"].astype(bool))
    chosen = np.random.default_rng([draw, 4]).permutation(normal)[:REFERENCES]

    def taps(row: int) -> list[torch.Tensor]:
        return [torch.tensor(arrays[f"tap{tap}"][row : row + 1]).float() for tap in range(2)]

    memory = remember([taps(int(row)) for row in chosen])
    calibration = read_tensors(HEAD)
    patch, line = (calibration[f"calibration.{name}"].float() for name in ("patch", "few_shot"))
    scores, maps = [], []
    for row in range(len(arrays["score"])):
        unlike = memory.unlike(taps(row))
        zero_shot = log_odds(torch.tensor(arrays["score"][row]).float())
        said = torch.stack([zero_shot, log_odds(torch.sigmoid(memory.picture(unlike)))[0]])
        scores.append(float(said @ line[:-1] + line[-1]))
        odds = log_odds(torch.tensor(arrays["tokens"][row]).float()).flatten()
        maps.append((torch.stack([odds, unlike[0]], dim=-1) @ patch[:-1] + patch[-1]).numpy())
    return {"score": np.array(scores), "tokens": np.stack(maps), "references": chosen}


def scenes_of(number: int) -> tuple[str, list[Scene]]:
    """Return how a generated archive is drawn, of one kind of picture or of mixed kinds, and its pictures."""
    rng = np.random.default_rng([number, 9])
    mixture = (held_out_mixture, training_mixture)[number % 2](0.8)
    # half of the archives show one thing, as a line's camera does; others one kind, or any kinds, of things
    how = "mixed" if number >= ONE_KIND else ("one surface", "one kind")[number // 2 % 2]
    return how, draw_archive(rng, mixture, NORMALS, SPOILT + LATER, how)


def generated(number: int, detector: Detector) -> Arrays:
    """Return what a generated archive's bank says, with labels."""
    how, scenes = scenes_of(number)
    arrays = extract(detector, (_scene(scene) for scene in scenes))
    own = arrays["pix"][: NORMALS + SPOILT]
    seeds = extract(detector, chain(_seeded(own, FEW_SEEDS), _changed(own, FEW_CHANGES)))
    rows, beside = range(NORMALS + SPOILT), range(NORMALS + SPOILT, len(scenes))
    found = evidence(arrays, seeds, rows, how, beside)
    facts = {key: arrays[key] for key in ("score", "tokens", "label", "mask")}
    few = {f"seed_{key}": seeds[key] for key in ("score", "tokens", "size", "contrast")}
    return found | facts | few | {"kind": np.array(how)}


def _scene(scene: Scene) -> tuple[Pixels, Arrays]:
    side = len(scene.picture)
    whole = Image.fromarray(scene.mask.astype(np.uint8) * 255).resize((side, side), Image.Resampling.BOX)
    return _facts(Labelled(scene.picture, bool(scene.mask.any()), np.asarray(whole) > 127, scene.surface))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder of what takes long to compute")
    parser.add_argument("--sets", nargs="*", default=REAL, choices=REAL)
    parser.add_argument("--generated", nargs=2, type=int, default=(0, ONE_KIND + MIXED), help="first, end")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.1, 0.05, 0.25])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--precision", choices=get_args(Precision), default="bf16")
    options = parser.parse_args()
    torch.set_num_threads(1)
    detector = load_detector(resolve_bundle("embedded"), "cpu", options.precision)
    loaded = cache(lambda name: load(name, options.data, options.cache, detector))
    for draw in range(options.draws):
        for share in options.shares:
            for name in options.sets:
                measured(options.cache, name, *loaded(name), share, draw)
        for name in options.sets:
            few = partial(few_shot, loaded(name)[0], draw)
            kept(options.cache / f"{name}-few-{draw}.npz", few)
    # of each kind some early: what is there after a while is like the whole
    for number in sorted(range(*options.generated), key=lambda number: (number % 5, number)):
        print(f"generated {number}", flush=True)
        kept(options.cache / f"generated-{number:02}.npz", partial(generated, number, detector))


def measured(folder: Path, name: str, arrays: Arrays, seeds: Arrays, share: float, draw: int) -> Arrays:
    """Return the evidence of an archive drawn from a set."""
    share, draw = (0.0, 0) if name == WHOLE else (share, draw)
    rows = archive(arrays["label"].astype(bool), name, share, draw)
    print(f"{name} {share:.0%}, draw {draw}", flush=True)
    make = partial(evidence, arrays, seeds, rows, name, ())
    return kept(folder / f"{name}-{100 * share:02.0f}-{draw}.npz", make)


if __name__ == "__main__":
    main()
