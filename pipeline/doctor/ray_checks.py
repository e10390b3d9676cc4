"""Ray: the version, what the environment tells it, and whether it starts or can be reached."""

import importlib.metadata
import os
import time
from collections.abc import Iterator

from s2sw.pipeline.doctor.check import Check, failed, guarded, warning
from s2sw.pipeline.run.ray_environment import check_variables
from s2sw.schemas.config import ClusterSettings

TRIED = "2.60"
"""The version that failure settings and patches were measured on."""


def ray_checks(cluster: ClusterSettings, start: bool = True) -> Iterator[Check]:
    """Yield what can be said of Ray. start: start one here, or connect to the configured cluster."""
    version = importlib.metadata.version("ray")
    if version.startswith(f"{TRIED}."):
        yield Check("Ray", version)
    else:
        yield failed("Ray", version, f"pip install 'ray[data,default]~={TRIED}.0'")
    yield guarded("RAY_ variables", _variables, "unset it")
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        yield warning(
            "Ray's token", "switched off by RAY_AUTH_MODE", "unset it: others could run code as you"
        )
    if start:
        yield guarded("Ray starts", lambda: _started(cluster), "small archives are screened without it")


def _variables() -> Check:
    check_variables()
    return Check("RAY_ variables", "none that Ray would abort on")


def _started(cluster: ClusterSettings) -> Check:
    from s2sw.pipeline.run.session import started  # here: Ray is slow to import

    began = time.monotonic()
    with started(cluster):
        seconds = time.monotonic() - began
    where = f"the cluster at {cluster.address} answers" if cluster.address else "it starts on this machine"
    return Check("Ray starts", f"{where}, in {seconds:.0f} s")
