"""What a run needs of a machine, and how it is made to fit one that has less.

The figures are proportional set sizes measured with the embedded detector, rounded up
(docs/performance.md).
"""

from dataclasses import dataclass

from s2sw.pipeline.checks.machine import GIB, Limits
from s2sw.schemas.config import ClusterSettings
from s2sw.schemas.errors import FailedError

MIB = 1 << 20
DRIVER = 450 * MIB  # the command itself, torch included
DECODER = 250 * MIB  # one process that decodes, a large picture in it
RAY = 700 * MIB  # Ray's own processes and tables
ACTOR = 450 * MIB  # one process of Ray's with a detector, without its weights
WEIGHTS = 1.5  # bytes held for each byte of weights
RAY_TASKS = 600  # processes and threads that Ray and its workers are
PROCESS_TASKS = 60
FILES = 256
TEMPORARY = 256 * MIB  # free bytes of the temporary folder, for Ray's session
OBJECTS, OBJECTS_LEAST = 2048 * MIB, 100 * MIB
"""Bytes of the object store of a Ray on this machine; fewer where /dev/shm is small."""
SHARED = 0.8  # of /dev/shm for Ray's objects; a container often has 64 MB


@dataclass(frozen=True)
class Fitted:
    """Settings that this machine can carry. small_only: without Ray. words: what was changed, and why."""

    cluster: ClusterSettings
    small_only: bool = False
    words: tuple[str, ...] = ()


def memory_of_processes(workers: int, weights: int) -> int:
    """Return the bytes that a run without Ray takes. weights: bytes of the detector's weights."""
    return int(DRIVER + DECODER * workers + WEIGHTS * weights)


def memory_of_ray(workers: int, actors: int, weights: int) -> int:
    """Return the bytes that a run with a Ray of its own takes, objects in shared memory apart."""
    return int(DRIVER + RAY + DECODER * workers + (ACTOR + WEIGHTS * weights) * actors)


def fit(cluster: ClusterSettings, weights: int, limits: Limits, temporary: int | None) -> Fitted:
    """Return settings for what the machine has.

    temporary: free bytes of the temporary folder. Raises FailedError where even one worker without Ray is too
    much: it says what is there, what is needed and which option needs less.
    """
    if cluster.address:  # its nodes are not this machine
        return Fitted(cluster)
    _refuse_too_little(weights, limits, temporary)
    workers, words = min(cluster.workers or limits.cores, limits.cores), []
    if cluster.workers and workers < cluster.workers:
        words.append(
            f"workers: {cluster.workers} were asked for, {workers} are used: this machine has no more CPUs"
        )
    small = _without_ray(weights, limits)
    if small:
        words.append(f"{small}: a few processes screen everything, without Ray")
    fitting = _fitting(workers, weights, limits.memory, bool(small))
    if fitting < workers:
        words.append(
            f"workers: {fitting} instead of {workers}, for {_in_gib(limits.memory)} of memory are free"
        )
    settings = cluster.model_copy(update={"workers": fitting, "object_store": _object_store(cluster, limits)})
    return Fitted(settings, bool(small), tuple(words))


def _fitting(workers: int, weights: int, memory: int | None, small: bool) -> int:
    """Return how many of the workers the memory is enough for, at least one."""
    for count in range(workers, 1, -1):
        need = memory_of_processes(count, weights) if small else memory_of_ray(count, count, weights)
        if _enough(memory, need):
            return count
    return 1


def _refuse_too_little(weights: int, limits: Limits, temporary: int | None) -> None:
    need = memory_of_processes(1, weights)
    if not _enough(limits.memory, need):
        raise FailedError(
            f"memory: {_in_gib(limits.memory)} are free, {_in_gib(need)} are needed for one worker and this "
            "detector; free some, raise the container's limit, or take a smaller detector (--bundle)"
        )
    if not _enough(limits.processes, PROCESS_TASKS):
        raise FailedError(
            f"processes: {limits.processes} more may be started, {PROCESS_TASKS} are needed; raise ulimit -u "
            "or the pids of the container"
        )
    if limits.files < FILES:
        raise FailedError(f"open files: {limits.files} are allowed, {FILES} are needed; raise ulimit -n")
    if not _enough(temporary, TEMPORARY // 8):
        raise FailedError(
            f"temporary folder: {_in_gib(temporary)} are free, {_in_gib(TEMPORARY)} are needed; free some or "
            "name another one by TMPDIR or cluster.temp_dir"
        )


def _without_ray(weights: int, limits: Limits) -> str:
    """Return why there is no room for a Ray with one worker; nothing where there is."""
    need = memory_of_ray(1, 1, weights)
    if not _enough(limits.memory, need):
        return f"{_in_gib(limits.memory)} of memory are free, Ray needs {_in_gib(need)}"
    if not _enough(limits.processes, RAY_TASKS):
        return f"{limits.processes} more processes and threads are allowed, Ray needs {RAY_TASKS}"
    return ""


def _object_store(cluster: ClusterSettings, limits: Limits) -> int | None:
    """Return the bytes for Ray's objects: as configured, else what /dev/shm has room for."""
    if cluster.object_store or limits.shared_memory is None:
        return cluster.object_store
    return max(OBJECTS_LEAST, min(OBJECTS, int(SHARED * limits.shared_memory)))


def _enough(there: int | None, needed: int) -> bool:
    return there is None or there >= needed


def _in_gib(size: int | None) -> str:
    return f"{(size or 0) / GIB:.1f} GiB"
