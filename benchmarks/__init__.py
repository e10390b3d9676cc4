"""Measured claims, each one command: ``python -m benchmarks.NAME`` at the top of the source tree."""

import os
from pathlib import Path

# processes that Ray starts look for modules nowhere else; they need the null stages of the tests
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")))
)
