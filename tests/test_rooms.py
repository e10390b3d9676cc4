"""Imports run one way: between the five folders, and between the rooms inside them."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("jobs", "pipeline", "connectors model", "schemas")
"""From top to bottom; folders of one line do not import each other."""
ROOMS = {
    "pipeline": (
        "doctor exports review", "evaluation", "reports", "evidence", "results", "flagging run", "ledger",
        "training", "checks stages", "profile", "pages", "imaging listing", "privacy",
    ),
    "model": (
        "embedded_training", "training", "detectors", "heads prompts rarity", "bundles weights", "towers",
        "maps metrics precision synthetic", "errors",
    ),
    "connectors": (
        "datasets", "decode reading", "archives dicom images manifests nifti outputs",
        "grey guard parquet preflight slices storage", "geometry",
    ),
}  # fmt: skip
"""As FOLDERS, inside each folder. A module at the top of a folder is a room of one file."""


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and module of every import, those inside functions and of type checkers included."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def levels(order: tuple[str, ...]) -> dict[str, int]:
    return {name: level for level, names in enumerate(order) for name in names.split()}


def test_folders_import_only_what_lies_below() -> None:
    order = levels(FOLDERS)
    wrong = []
    for path in sources(*order):
        here = path.relative_to(ROOT).parts[0]
        for line, module in imports_of(path):
            package, _, rest = module.partition(".")
            there = rest.partition(".")[0]
            if package == "s2sw" and there != here and order.get(there, 99) <= order[here]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong, f"imports run {' > '.join(FOLDERS)}"


def test_rooms_import_only_what_lies_below() -> None:
    wrong = []
    for folder, rooms in ROOMS.items():
        order = levels(rooms)
        for path in sources(folder):
            here = path.relative_to(ROOT / folder).parts[0].removesuffix(".py")
            if here == "__init__":
                continue
            for line, module in imports_of(path):
                parts = module.split(".")
                if parts[:2] != ["s2sw", folder] or len(parts) < 3:
                    continue
                there = parts[2]
                if there != here and there in order and order[there] <= order[here]:
                    wrong.append(f"{path.relative_to(ROOT)}:{line} ({here}) imports {module} ({there})")
    assert not wrong, wrong


def test_every_room_has_its_place_and_says_what_it_is_for() -> None:
    for folder, rooms in ROOMS.items():
        found = {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}
        found |= {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}
        assert found == set(levels(rooms)), folder
    for path in sources(*levels(FOLDERS)):
        if path.name == "__init__.py":
            assert ast.get_docstring(ast.parse(path.read_text())), path


def test_no_file_imports_a_bare_folder() -> None:
    """A file of the user's own named model.py would be found instead."""
    bare = set(levels(FOLDERS))
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(*bare, "s2sw", "tests", "benchmarks")
        for line, module in imports_of(path)
        if module.partition(".")[0] in bare
    ]
    assert not found


def test_model_knows_no_ray_and_connectors_no_torch() -> None:
    forbidden = {"model": ("ray", "pydicom", "nibabel", "s3fs"), "connectors": ("torch", "ray")}
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for folder, names in forbidden.items()
        for path in sources(folder)
        for line, module in imports_of(path)
        if module.partition(".")[0] in names
    ]
    assert not found


def test_ray_is_imported_by_the_room_that_starts_it_alone() -> None:
    """Its environment is set there, and whoever reads results waits for no Ray."""
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in sources(*levels(FOLDERS))
        if path.parent != ROOT / "pipeline" / "run"
        for line, module in imports_of(path)
        if module.partition(".")[0] == "ray"
    ]
    assert not found


def test_nothing_is_too_long_to_read_at_once() -> None:
    """Files under 300 lines, commands of at most 40, other functions of at most 60."""
    wrong = []
    for path in sources("jobs", "pipeline", "connectors", "model", "schemas", "benchmarks", "tests"):
        text = path.read_text()
        where = path.relative_to(ROOT)
        if text.count("\n") >= 300:
            wrong.append(f"{where}: {text.count(chr(10))} lines")
        most = 40 if where.parts[0] == "jobs" else 60
        for node in ast.walk(ast.parse(text, str(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > most:
                    wrong.append(f"{where}:{node.lineno} {node.name} has {length} lines")
    assert not wrong
