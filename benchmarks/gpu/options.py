"""What a run of the GPU stages was asked for, and how a stage writes down what it finds."""

import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from s2sw.schemas.whole_files import BY_UMASK, write_whole


@dataclass(frozen=True)
class Options:
    """quick: tiny weights and few rounds. out: gets the JSON. carried: made by ``carry``. work: scratch."""

    device: str
    quick: bool
    out: Path
    carried: Path
    work: Path

    @property
    def large_bundle(self) -> Path:
        """Where the bundle of ViT-L/14@336 shapes appears, made while the first stages run."""
        return self.work / "bundle"

    @property
    def on_gpu(self) -> bool:
        return self.device == "cuda"


class Results:
    """The figures of one stage. Each is in the file as soon as it is known."""

    def __init__(self, options: Options, stage: str) -> None:
        self._path = options.out / f"{stage}.json"
        self._found: dict[str, Any] = {"machine": machine(options.device), "quick": options.quick}
        self._write()

    def __setitem__(self, name: str, value: Any) -> None:
        self._found[name] = value
        print(f"{name}: {json.dumps(value)}", flush=True)
        self._write()

    def __getitem__(self, name: str) -> Any:
        return self._found[name]

    def _write(self) -> None:
        text = json.dumps(self._found, indent=1) + "\n"
        write_whole(self._path, text.encode(), BY_UMASK)


def machine(device: str) -> dict[str, Any]:
    """Return what a figure depends on: card, driver, versions, cores and their load."""
    found: dict[str, Any] = {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }
    if device == "cuda":
        card = torch.cuda.get_device_properties(0)
        found |= {"card": card.name, "memory": card.total_memory, "cuda": torch.version.cuda}
        query = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm", "--format=csv,noheader"]
        found["driver"] = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    return found


def failure(error: BaseException) -> str:
    """Return what a figure could not be had for, in one line."""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]
