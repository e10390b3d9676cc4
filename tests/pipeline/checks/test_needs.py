"""A run is made to fit the machine, and refused with what is there and what is needed where it cannot."""

from dataclasses import replace

import pytest

from s2sw.pipeline.checks.machine import Limits
from s2sw.pipeline.checks.needs import Fitted, fit, memory_of_processes, memory_of_ray
from s2sw.schemas.config import ClusterSettings
from s2sw.schemas.errors import FailedError

GIB = 1 << 30
WEIGHTS = 20 << 20
ROOM = Limits(memory=32 * GIB, cores=4, processes=None, files=4096, shared_memory=8 * GIB)


def fitted(limits: Limits = ROOM, temporary: int | None = 8 * GIB, **cluster: object) -> Fitted:
    return fit(ClusterSettings.model_validate(cluster), WEIGHTS, limits, temporary)


def test_a_machine_with_room_is_used_as_it_is() -> None:
    here = fitted()
    assert (here.cluster.workers, here.small_only, here.words) == (4, False, ())


def test_workers_that_are_not_there_are_not_promised() -> None:
    here = fitted(workers=64)
    assert here.cluster.workers == 4
    assert here.words == ("workers: 64 were asked for, 4 are used: this machine has no more CPUs",)


def test_little_memory_means_fewer_workers() -> None:
    here = fitted(replace(ROOM, memory=memory_of_ray(2, 2, WEIGHTS)))
    assert (here.cluster.workers, here.small_only) == (2, False)
    assert "2 instead of 4" in here.words[0]


@pytest.mark.parametrize("change", [{"memory": memory_of_processes(3, WEIGHTS)}, {"processes": 200}])
def test_too_little_for_ray_goes_without(change: dict[str, int]) -> None:
    here = fitted(replace(ROOM, **change))
    assert here.small_only
    assert "without Ray" in here.words[0]
    assert here.cluster.workers == (3 if "memory" in change else 4)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"memory": 300 << 20}, "memory: 0.3 GiB are free"),
        ({"processes": 10}, "processes: 10 more may be started"),
        ({"files": 64}, "open files: 64 are allowed"),
    ],
)
def test_too_little_for_anything_is_refused(change: dict[str, int], named: str) -> None:
    with pytest.raises(FailedError, match=named):
        fitted(replace(ROOM, **change))


def test_a_full_temporary_folder_is_refused() -> None:
    with pytest.raises(FailedError, match=r"temporary folder: 0.0 GiB are free.*TMPDIR"):
        fitted(temporary=1 << 20)


def test_shared_memory_of_a_container_bounds_the_object_store() -> None:
    assert fitted(replace(ROOM, shared_memory=GIB)).cluster.object_store == int(0.8 * GIB)
    assert fitted(replace(ROOM, shared_memory=GIB), object_store=GIB).cluster.object_store == GIB


def test_a_cluster_is_not_this_machine() -> None:
    tiny = Limits(memory=1, cores=1, processes=1, files=1, shared_memory=1)
    assert fitted(tiny, 1, address="auto", workers=9).cluster.workers == 9
