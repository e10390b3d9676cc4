"""A process that reads files of weights and tells what else it did: ``python -m ... FOLDER``.

Prints one JSON object: ``outcomes`` (by file: "read", or the error's kind and text), ``events`` (files opened
to be written, processes started, names looked up by a pickle, code run, connections), and ``peak_mib``.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
FORBIDDEN = (
    "os.", "subprocess.", "shutil.", "socket.", "ctypes.", "pickle.", "marshal.", "exec", "compile", "import",
    "urllib.", "pty.", "webbrowser.", "code.", "builtins.",
)  # fmt: skip
HARMLESS = ("os.listdir", "os.scandir")
SECONDS = 600
SPARE = 512 << 20
"""Bytes of data that reading may need beyond what a process with PyTorch has."""


def read_watched(folder: Path) -> dict[str, Any]:
    """Read all files of a folder in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, str(folder)],
        capture_output=True, text=True, timeout=SECONDS, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _main(folder: Path) -> None:
    for encoding in ("cp437", "raw_unicode_escape"):  # imported when they are first needed
        "".encode(encoding)
    from s2sw.model.errors import BundleError
    from s2sw.model.weights.tensors import read_tensors
    from tests.support.memory import peak_mib

    files = sorted(folder.iterdir(), key=lambda path: (not path.name.startswith("good"), path.name))
    outcomes: dict[str, str] = {}
    events: list[str] = []
    watching = False

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not watching:
            return
        if event == "open":
            if isinstance(arguments[2], int) and arguments[2] & WRITING:
                events.append(f"open {arguments}")
        elif event.startswith(FORBIDDEN) and event not in HARMLESS:
            events.append(f"{event} {arguments}")

    sys.addaudithook(hook)
    # what is imported late is imported by the good files, which come first
    for path in files:
        watching = not path.name.startswith("good")
        try:
            read_tensors(path)
            outcomes[path.name] = "read"
        except BundleError as error:
            outcomes[path.name] = f"BundleError: {error}"
        except BaseException as error:  # noqa: BLE001 (told to the test)
            outcomes[path.name] = f"{type(error).__name__}: {error}"
        if not watching:
            size = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_DATA, (size + SPARE, -1))
    watching = False
    sys.stdout.write(json.dumps({"outcomes": outcomes, "events": events, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
