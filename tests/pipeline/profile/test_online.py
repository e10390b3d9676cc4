"""Objects are taken in when they are whole, a few of their slices, into a few groups; states that count."""

import zlib

import numpy as np
import pytest
import torch
from torch.nn import functional

from s2sw.model.rarity.bank import LEAST_OTHERS
from s2sw.pipeline.profile.folder import ProfileError
from s2sw.pipeline.profile.online import END, GROUPS, PICTURES, OnlineRanking
from s2sw.pipeline.profile.place import Subject
from s2sw.pipeline.profile.stream import Stream
from s2sw.schemas.outcomes import Reason

SIDE, WIDTH = 5, 8
FINGERPRINT = "f" * 32


def taps(seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [functional.normalize(torch.randn(SIDE**2, WIDTH, generator=generator), dim=-1)]


def fresh() -> OnlineRanking:
    return OnlineRanking({}, "cpu", torch.float32)


def see(ranking: OnlineRanking, owner: str, slices: int = 1, group: str = "CT/-", **end: object) -> list:
    """Let an object pass: its slices, and the row that ends it."""
    found = []
    for index in range(slices):
        ranking.note({"slice_index": index, "owner": owner})
        subject = Subject(owner, "", (group, "CT"))
        tokens = np.random.default_rng(index).random(SIDE**2, dtype=np.float32)
        found.append(ranking.rank(subject, taps(zlib.crc32(f"{owner} {index}".encode())), 0.4, tokens))
    ranking.note({"slice_index": END, "owner": owner, "reason": None, "n_slices": slices} | end)
    return found


def banks(ranking: OnlineRanking, ids: tuple[str, ...] = ()) -> dict:
    """The banks of the state that would be kept with these objects."""
    found = OnlineRanking.of_state(ranking.state(ids, {"run": "r", "last": "x"}), "cpu", torch.float32)
    return dict(found._now.banks)


def test_an_object_is_taken_in_once_it_is_whole() -> None:
    ranking = fresh()
    see(ranking, "a", slices=2)
    assert banks(ranking) == {}, "it is not committed yet"
    assert banks(ranking, ("a",))["CT/-"].taken == 2
    for end in ({"reason": Reason.TIMEOUT.value}, {"n_slices": 3}):  # failed; a slice of it was lost
        see(ranking, "b", slices=2, **end)
        assert banks(ranking, ("a", "b"))["CT/-"].taken == 2
    see(ranking, "b", slices=2)
    see(ranking, "c")
    assert banks(ranking)["CT/-"].taken == 4, "the next row takes in the one before"


def test_an_object_that_begins_again_counts_once() -> None:
    ranking = fresh()
    ranking.note({"slice_index": 0, "owner": "a"})
    ranking.rank(Subject("a", "", ("CT/-",)), taps(1), 0.4, np.zeros(SIDE**2, np.float32))
    see(ranking, "a", slices=3)  # after its process died
    assert banks(ranking, ("a",))["CT/-"].taken == 3


def test_of_a_volume_a_few_slices_are_taken_in() -> None:
    ranking = fresh()
    see(ranking, "volume", slices=100)
    (bank,) = banks(ranking, ("volume",)).values()
    assert PICTURES / 2 <= bank.taken <= PICTURES
    assert bank.past[0].owner == "volume"


def test_further_groups_share_the_most_general_one() -> None:
    ranking = fresh()
    for number in range(GROUPS + 3):
        see(ranking, f"o{number}", group=f"CT/{number}")
    found = banks(ranking, (f"o{GROUPS + 2}",))
    assert {name: bank.taken for name, bank in found.items()} == {
        **{f"CT/{number}": 1 for number in range(GROUPS)}, "CT": 3,
    }  # fmt: skip


def test_ranks_begin_after_the_warm_up() -> None:
    ranking = fresh()
    found = [see(ranking, f"o{number}")[0] for number in range(2 * LEAST_OTHERS + 2)]
    assert [one is not None for one in found] == [n >= 2 * LEAST_OTHERS for n in range(len(found))]
    assert 0 <= found[-1].rank <= 1
    assert found[-1].group == "CT/-"
    assert found[-1].tokens.shape == (1, SIDE**2)


def test_a_state_counts_once_its_part_is_committed(tmp_path) -> None:
    done: set[tuple[str, str]] = set()

    def committed(run: str, last: str) -> bool:
        return (run, last) in done if last else bool(done)

    def opened() -> tuple[Stream, OnlineRanking]:
        stream = Stream(tmp_path / "states")
        stream.open(FINGERPRINT, committed)
        return stream, stream.ranking("cpu", torch.float32)

    stream, ranking = opened()
    for number, name in enumerate(("a", "b", "c", "d")):
        see(ranking, name)
        stream.save(f"run-{number:05}.parquet", [name])
        done.add(("run", name))
    files = sorted((tmp_path / "states" / FINGERPRINT).iterdir())
    assert len(files) == 2, "older states are removed"
    assert banks(opened()[1])["CT/-"].taken == 4
    done.remove(("run", "d"))
    assert banks(opened()[1])["CT/-"].taken == 3, "the state of a part that never came"
    assert sorted((tmp_path / "states" / FINGERPRINT).iterdir()) == files[:1]
    files[0].unlink()
    with pytest.raises(ProfileError, match="lacks the state"):
        opened()
    done.clear()
    assert banks(opened()[1]) == {}


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, None])
def test_a_damaged_state_is_no_state(tmp_path, damage: bytes | None) -> None:
    stream = Stream(tmp_path / "states")
    stream.open(FINGERPRINT, lambda *_: False)
    see(stream.ranking("cpu", torch.float32), "a")
    stream.save("run-00000.parquet", ["a"])
    (path,) = (tmp_path / "states" / FINGERPRINT).iterdir()
    data = path.read_bytes()
    path.write_bytes(data[:-40] if damage is None else damage)
    again = Stream(tmp_path / "states")

    def continued() -> OnlineRanking:
        again.open(FINGERPRINT, lambda *_: True)
        return again.ranking("cpu", torch.float32)

    with pytest.raises(ProfileError, match=r"lacks the state|is damaged"):
        continued()
