"""This machine: memory, CPUs, processes, files, temporary and private folders, GPU."""

from collections.abc import Iterator

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.connectors.storage.s3 import is_s3
from s2sw.pipeline.checks.machine import GIB, Limits, allow_open_files, free_bytes, limits
from s2sw.pipeline.checks.needs import (
    FILES,
    PROCESS_TASKS,
    RAY_TASKS,
    TEMPORARY,
    memory_of_processes,
    memory_of_ray,
)
from s2sw.pipeline.checks.processor import quick_bf16, quick_int8
from s2sw.pipeline.doctor.check import Check, failed, guarded, warning
from s2sw.pipeline.privacy.private_dir import Inside
from s2sw.pipeline.privacy.temporary import temporary_root
from s2sw.pipeline.run.resources import machine_gpus
from s2sw.schemas.cache import cache_folder
from s2sw.schemas.config import ClusterSettings


def machine_checks(cluster: ClusterSettings, private_dir: str | None, weights: int) -> Iterator[Check]:
    """Yield what this machine has against what a run needs. weights: bytes of the detector's."""
    allow_open_files()
    here = limits()
    yield _memory(here, cluster.workers or here.cores, weights)
    yield _cpus(here, cluster)
    yield _processes(here)
    yield _files(here)
    yield _shared_memory(here)
    yield guarded("temporary folder", lambda: _temporary(cluster), "name another folder by TMPDIR")
    yield guarded("private folder", lambda: _private(private_dir), "name another one by --private-dir")
    yield guarded("cache", _cache, "name another folder by XDG_CACHE_HOME")
    yield _gpu()


def _memory(here: Limits, workers: int, weights: int) -> Check:
    if here.memory is None:
        return Check("memory", "not known on this system")
    least, ray = memory_of_processes(1, weights), memory_of_ray(1, 1, weights)
    found = f"{here.memory / GIB:.1f} GiB free, limits of containers included"
    if here.memory < least:
        return failed("memory", found, f"{least / GIB:.1f} GiB are needed; free some or raise the limit")
    if here.memory < ray:
        return warning("memory", found, f"large archives go faster with {ray / GIB:.1f} GiB, for Ray")
    full = memory_of_ray(workers, workers, weights)
    if here.memory < full:
        return warning("memory", found, f"{workers} workers take {full / GIB:.1f} GiB: fewer will be used")
    return Check("memory", found)


def _cpus(here: Limits, cluster: ClusterSettings) -> Check:
    found = f"{here.cores} for this process"
    if cluster.workers and cluster.workers > here.cores:
        return warning("CPUs", found, f"--workers {cluster.workers} is more than there are")
    return Check("CPUs", found)


def _processes(here: Limits) -> Check:
    if here.processes is None:
        return Check("processes", "not limited")
    found = f"{here.processes} more allowed"
    if here.processes < PROCESS_TASKS:
        return failed("processes", found, f"{PROCESS_TASKS} are needed: raise ulimit -u or the pids limit")
    if here.processes < RAY_TASKS:
        return warning("processes", found, f"Ray needs {RAY_TASKS}: large archives are screened without it")
    return Check("processes", found)


def _files(here: Limits) -> Check:
    found = f"{here.files} allowed"
    if here.files < FILES:
        return failed("open files", found, f"{FILES} are needed: raise ulimit -n")
    return Check("open files", found)


def _shared_memory(here: Limits) -> Check:
    if here.shared_memory is None:
        return warning("shared memory", "no /dev/shm", "Ray keeps pictures in files instead, which is slower")
    found = f"{here.shared_memory / GIB:.1f} GiB free in /dev/shm"
    if here.shared_memory < GIB // 2:
        return warning("shared memory", found, "give containers --shm-size=2g: pictures pass through it")
    return Check("shared memory", found)


def _temporary(cluster: ClusterSettings) -> Check:
    root = temporary_root(cluster.temp_dir)
    free = free_bytes(root) or 0
    found = f"{free / GIB:.1f} GiB free in {root}"
    if free < TEMPORARY:
        return failed(
            "temporary folder", found, f"{TEMPORARY / GIB:.2f} GiB are needed: free some, or set TMPDIR"
        )
    return Check("temporary folder", found)


def _private(private_dir: str | None) -> Check:
    if private_dir and is_s3(private_dir):  # the check of the id key asks it
        return Check("private folder", private_dir)
    folder = Inside.of(private_dir).folder
    LocalOutput(folder).check_writable()
    if folder.is_dir() and folder.stat().st_mode & 0o077:
        return warning("private folder", f"{folder} is open to other users", f"chmod 700 {folder}")
    return Check("private folder", str(folder))


def _cache() -> Check:
    folder = cache_folder()
    LocalOutput(folder).check_writable()
    return Check("cache", str(folder))


def _gpu() -> Check:
    if count := machine_gpus():
        return Check("GPU", f"{count} CUDA device{'s' * (count != 1)}")
    if quick_bf16():
        return Check("GPU", "none: detectors run on CPUs, in bf16")
    faster = "; precision: int8 is twice as fast here" if quick_int8() else ""
    return Check("GPU", f"none: detectors run on CPUs, in fp32{faster}")
