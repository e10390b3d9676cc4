"""A directory with modules of a user's that must not be taken for others."""

from pathlib import Path

OURS = ("schemas", "connectors", "model", "pipeline", "jobs", "s2sw")
OTHERS = ("random", "numpy", "ray")


def shadows(folder: Path, names: tuple[str, ...] = (*OURS, *OTHERS)) -> Path:
    """Make a directory in which importing any of these fails, and return it."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / f"{name}.py").write_text("raise ImportError('a file of the user, not of s2sw')\n")
    return folder
