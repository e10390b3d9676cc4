"""The state of a training: all that is needed to go on as if it had never stopped."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s2sw.model.errors import BundleError
from s2sw.model.weights.checkpoints import read_checkpoint
from s2sw.schemas.whole_files import BY_UMASK, whole_file

Curve = dict[str, float]


@dataclass
class State:
    """Where a training stands.

    key: names data, weights and settings: a state goes on only with the same. epoch, step: the next ones.
    sums: of the losses of the epoch so far. curve: a row an epoch that is over. best: the parameters with the
    lowest held-out loss.
    """

    key: str
    parameters: dict[str, Tensor]
    optimizer: dict[str, Any]
    epoch: int = 0
    step: int = 0
    sums: Curve = field(default_factory=dict)
    curve: list[Curve] = field(default_factory=list)
    best_loss: float = float("inf")
    best_epoch: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write the state in one step."""
        with whole_file(path, BY_UMASK) as file:
            torch.save(asdict(self), file)


def read_state(path: Path, key: str) -> State | None:
    """Return the state in a file, None where there is none.

    Raises BundleError for a damaged file, and for the state of a training on other data or settings.
    """
    if not path.is_file():
        return None
    try:
        state = _checked(State(**read_checkpoint(path)))
    except Exception as error:  # the reader raises anything on a damaged file
        raise BundleError(
            f"{path}: cannot be read ({type(error).__name__}); remove it to start again"
        ) from error
    if state.key != key:
        raise BundleError(
            f"{path}: was left by a training with other data, weights or settings; give the same ones to go "
            "on, or another --work folder, or remove it to start again"
        )
    return state


def _checked(state: State) -> State:
    """Return the state. Raises TypeError where a field is not what ``State`` says."""
    for name, kind in (("key", str), ("optimizer", dict), ("epoch", int), ("step", int), ("curve", list)):
        if not isinstance(getattr(state, name), kind):
            raise TypeError(name)
    for name in ("parameters", "best"):
        if not all(isinstance(value, Tensor) for value in getattr(state, name).values()):
            raise TypeError(name)
    return state
