"""Whoever reaches a port of Ray can run code as the user that started it, unless Ray asks for a token."""

import contextlib
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
from ray import _raylet

from s2sw.pipeline.privacy.ray_ports import Answer, ask_without_token
from s2sw.schemas.errors import FailedError, UserError

log = logging.getLogger(__name__)

TOKEN_FILE = "token"  # noqa: S105 (the name of a file)
TOKEN_BYTES = 32


def token_environment(folder: Path) -> dict[str, str | None]:
    """Return what a Ray inherits that asks everybody for a new token, which lies in its session's folder.

    Ray's own default, ~/.ray/auth_token, may be another program's and readable by others.
    """
    return {
        # a port that tells everybody figures; nobody collects them here
        "RAY_enable_metrics_collection": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": None,
        "RAY_AUTH_TOKEN_PATH": str(_new_token(folder)),
    }


def _new_token(folder: Path) -> Path:
    """Write a random token, for its owner alone."""
    path = folder / TOKEN_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(TOKEN_BYTES))
    return path


@contextlib.contextmanager
def token_read_anew() -> Iterator[None]:
    """Let Ray's C++ part read mode and token from the environment now, and again afterwards (Ray 2.60).

    It keeps what it has read once: of another session in this process, or that the user switched it off.
    """
    _read_anew()
    try:
        yield
    finally:
        _read_anew()


def check_own() -> None:
    """Raise FailedError unless the Ray that was started here asks strangers for its token."""
    if ask_without_token(_gcs()) is not Answer.REFUSES:
        raise FailedError(
            "Ray was started and asks nobody for its token, so that any user of this machine could run code "
            "as you; the run was not begun"
        )


def check_cluster(private: bool, allowed: bool) -> None:
    """Warn if the cluster that this process is connected to asks nobody for a token.

    Raises UserError in private mode, unless it is allowed.
    """
    if ask_without_token(_gcs()) is not Answer.OBEYS:
        return
    problem = (
        f"cluster.address: the Ray at {_gcs()} asks nobody for a token: whoever reaches it can run code as "
        "its user and read what is screened"
    )
    if private and not allowed:
        raise UserError(
            f"{problem}; start it with RAY_AUTH_MODE=token, or set cluster.allow_without_token: true"
        )
    log.warning("%s", problem)


def _gcs() -> str:
    address: str = ray.get_runtime_context().gcs_address
    return address


def _read_anew() -> None:
    raylet: Any = _raylet  # its annotations do not name these
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()
