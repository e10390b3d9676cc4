"""Builds the image of deploy/Containerfile without a container engine, and screens in it as a cluster would.

``python -m tests.deploy.rehearsal`` makes a fresh Debian root, makes the steps of a target in it as they are
written, and then runs in it: another account, a read-only root file system, no network. For root, on Debian.

Three things differ from a build. The base is Debian with its own Python. What pip fetches is kept, so that
the next time is cheap. PyTorch comes from the index that pip uses here, unless TORCH_CPU_INDEX is set.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from pip._internal.models.index import PyPI  # where pip looks if nobody says otherwise

from tests.deploy.image_checks import check_image, say
from tests.support.containerfile import Copy, Stage, Step, assignments, copy_of, expanded, parse
from tests.support.isolated_root import Within

PROJECT = Path(__file__).parents[2]
SUITE = "bookworm"
PACKAGES = "python3-venv,python-is-python3,ca-certificates"
"""What python:slim has beyond Debian."""
PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
HOST_FILES = ("/etc/resolv.conf", "/etc/hosts")
CACHE = "/var/cache/pip"
INSTALL = "pip install"


@dataclass
class Image:
    """A stage in the making: its root and what its steps have set."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    arguments: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    command: list[str] = field(default_factory=list)


class Rehearsal:
    """Makes the stages of the Containerfile below a folder. given: arguments of the build.

    base: the root of a Debian, instead of a fresh one.
    """

    def __init__(self, folder: Path, cache: Path, given: Mapping[str, str], base: Path | None = None) -> None:
        self._file = parse((PROJECT / "deploy/Containerfile").read_text())
        self._folder, self._cache, self._given, self._base = folder, cache, given, base
        self._made: dict[str, Image] = {}

    def stage(self, name: str) -> Image:
        """Make a stage, after those that it needs."""
        if name not in self._made:
            stage = self._file.stages[name]
            image = self._begun(name, stage)
            for step in stage.steps:
                say(f"{name}: {step.name} {step.words[:90]}")
                getattr(self, f"_{step.name.lower()}")(image, step)
            self._made[name] = image
        return self._made[name]

    def _begun(self, name: str, stage: Stage) -> Image:
        root = self._folder / name
        if stage.base not in self._file.stages:
            assert expanded(stage.base, self._file.arguments).startswith("python:")
            _copied(self._debian(), root)
            return Image(root)
        base = self.stage(stage.base)
        _copied(base.root, root)
        return Image(root, dict(base.environment), {}, base.user, base.folder, base.command)

    def _debian(self) -> Path:
        root = self._base or self._folder / "debian"
        if not root.exists():
            say(f"Debian {SUITE}")
            # what it mounts goes with its namespace, even if it is killed
            command = ["unshare", "--mount", "--propagation=private", "mmdebstrap", "--variant=minbase"]
            command += [f"--include={PACKAGES}", "--quiet", SUITE, str(root)]
            subprocess.run(command, check=True)
        return root

    def _arg(self, image: Image, step: Step) -> None:
        name, _, default = step.words.partition("=")
        image.arguments[name] = self._given.get(name, default)

    def _env(self, image: Image, step: Step) -> None:
        image.environment |= assignments(step.words, image.environment)

    def _user(self, image: Image, step: Step) -> None:
        image.user = step.words

    def _workdir(self, image: Image, step: Step) -> None:
        image.folder = step.words
        _inside(image.root, step.words).mkdir(parents=True, exist_ok=True)

    def _entrypoint(self, image: Image, step: Step) -> None:
        assert step.exec_form == []

    def _cmd(self, image: Image, step: Step) -> None:
        image.command = step.exec_form

    def _copy(self, image: Image, step: Step) -> None:
        copy: Copy = copy_of(step.words)
        sources = self.stage(copy.stage).root if copy.stage else PROJECT
        place = _inside(image.root, str(Path(image.folder, copy.place)))
        for source in copy.sources:
            found = _inside(sources, source)
            # a folder's content is copied into the place, a file into a folder that ends with a slash
            target = place / found.name if copy.place.endswith("/") and found.is_file() else place
            _copied(found, target, links=bool(copy.stage))

    def _run(self, image: Image, step: Step) -> None:
        """Run a step with the network of this machine, and with what its pip is configured by."""
        if INSTALL in step.words:  # what is fetched once is there the next time, whatever the step says
            fetch = step.words.replace(INSTALL, f"pip download --find-links {CACHE} --dest {CACHE}")
            self._made_step(image, fetch, check=False)
        self._made_step(image, step.words)

    def _made_step(self, image: Image, words: str, check: bool = True) -> None:
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        environment = image.environment | image.arguments | pip | {"PIP_FIND_LINKS": CACHE}
        with _this_machines_network(image.root):
            within = Within(
                image.root, image.user, image.folder, environment, network=True,
                binds={CACHE: self._cache}, writable=[CACHE],
            )  # fmt: skip
            done = within.run(["/bin/sh", "-c", words])
        if check and done.returncode:
            sys.exit(f"image-check: this step ended with {done.returncode}: RUN {words}")


@contextmanager
def _this_machines_network(root: Path) -> Iterator[None]:
    """Give a root the names and the certificates of this machine, as long as the block lasts."""
    certificates = os.environ.get("PIP_CERT", "")
    kept = {name: _inside(root, name) for name in (*HOST_FILES, certificates) if Path(name).is_file()}
    before = {path: path.read_bytes() if path.exists() else None for path in kept.values()}
    for name, path in kept.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Path(name).read_bytes())
    try:
        yield
    finally:
        for path, data in before.items():
            path.unlink() if data is None else path.write_bytes(data)


def _inside(root: Path, place: str) -> Path:
    return root / place.lstrip("/")


def _copied(source: Path, place: Path, links: bool = False) -> None:
    """Copy with owners and modes. links: make hard links of files, for nothing changes them any more."""
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = source.is_dir()
    command = [
        "cp",
        "--archive",
        *(["--link"] if links else []),
        f"{source}{'/.' if folder else ''}",
        str(place),
    ]
    if folder:
        place.mkdir(exist_ok=True)
    subprocess.run(command, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--base", type=Path, help="the root of a Debian that is there, instead of a fresh one"
    )
    parser.add_argument("--cache", type=Path, default=PROJECT / ".image", help="what pip fetched")
    arguments = parser.parse_args()
    missing = [name for name in ("mmdebstrap", "unshare", "ip") if shutil.which(name) is None]
    if missing or os.getuid() != 0:
        sys.exit(f"image-check: needs root, and the programs: {', '.join(missing) or 'all there'}")
    arguments.cache.mkdir(exist_ok=True)
    index = os.environ.get("TORCH_CPU_INDEX") or os.environ.get("PIP_INDEX_URL") or PyPI.simple_url
    started = time.monotonic()
    with TemporaryDirectory(prefix="s2sw-image-") as folder:
        Path(folder).chmod(0o755)
        given = {"TORCH_CPU_INDEX": index}
        image = Rehearsal(Path(folder), arguments.cache, given, arguments.base).stage(arguments.target)
        say(f"built in {time.monotonic() - started:.0f} s")
        check_image(image, Path(folder) / "checks")
    say(f"all is well, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
