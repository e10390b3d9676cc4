"""Bundles: a detector in a folder, text side already computed, sealed by SHA-256."""

import math
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from s2sw.model.bundles.record import RECORD, WEIGHTS, BundleRecord, file_sha256, read_record
from s2sw.model.errors import BundleError
from s2sw.model.precision import Precision, token_type

DTYPES = frozenset({"F32", "F16", "BF16"})
"""Types of a bundle's numbers, as safetensors names them."""
ROWS = 1 << 22
"""Rows of a detector's own tensor at most: patches of some 3,000 normal pictures."""


def new_folder(out_dir: str | Path) -> Path:
    """Return the folder as a path; raises BundleError where something is in it."""
    out = Path(out_dir)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BundleError(f"{out}: exists and is not empty; give a new folder")
    return out


def write_bundle(out: Path, tensors: dict[str, Tensor], record: BundleRecord) -> Path:
    """Write weights and record, sealed; the folder appears whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        save_file({n: t.contiguous() for n, t in sorted(tensors.items())}, draft / WEIGHTS)
        whole = record.model_copy(update={"weights_sha256": file_sha256(draft / WEIGHTS)})
        (draft / RECORD).write_text(whole.sealed().text(), encoding="utf-8")
        (draft / WEIGHTS).chmod(0o644)
        draft.chmod(0o755)
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return out


def read_bundle(folder: Path, precision: Precision = "fp32") -> tuple[BundleRecord, dict[str, Tensor]]:
    """Read a bundle's record and tensors after checking every byte; raises BundleError."""
    record = read_record(folder)
    try:
        check_tensors(folder / WEIGHTS, record)
        return record, read_weights(folder / WEIGHTS, token_type(precision))
    except SafetensorError as error:
        raise BundleError(f"{folder / WEIGHTS}: not readable as safetensors ({error})") from error


def check_tensors(path: Path, record: BundleRecord) -> None:
    """Raise BundleError where the file's header names tensors that no bundle of this record has.

    What a tower holds follows from its shape. A detector's own tensors have no such bound, but each row of a
    memory is compared with each patch of a picture.
    """
    towers = 0
    with safe_open(path, "pt") as file:
        for name in file.keys():  # noqa: SIM118 (a reader, no mapping)
            part = file.get_slice(name)
            shape = part.get_shape()
            if part.get_dtype() not in DTYPES:
                raise BundleError(f"{path}: tensor {name!r} is of type {part.get_dtype()}; build it again")
            if "visual." in name:
                towers += math.prod(shape)
            elif math.prod(shape[:-1]) > ROWS:
                raise BundleError(f"{path}: tensor {name!r} has more than {ROWS} rows; build it again")
    if towers > record.most_numbers:
        raise BundleError(f"{path}: its towers' tensors are larger than {RECORD} says; build it again")


def read_weights(path: Path, tokens: torch.dtype) -> dict[str, Tensor]:
    """Read a bundle's tensors: float32 mapped from the file; for tokens in bfloat16 the blocks so, copied.

    Then the file is mapped again for each tensor, so that it is never in memory as a whole.
    """
    if tokens == torch.float32:
        return dict(load_file(path))
    with safe_open(path, "pt") as file:
        names = list(file.keys())
    tensors = {}
    for name in names:
        with safe_open(path, "pt") as file:
            wanted = torch.bfloat16 if ".transformer." in name else torch.float32
            tensors[name] = file.get_tensor(name).to(wanted, copy=True)
    return tensors
