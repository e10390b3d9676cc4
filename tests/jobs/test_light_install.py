"""Results are read, reviewed and exported where neither PyTorch nor Ray is installed."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from s2sw.jobs.errors import SCREENING
from tests.support.client_programs import answer_of, program
from tests.support.screened import Screened, screen_archive

ROOT = Path(__file__).parents[2]
BLOCKED = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""
READING = """
import json
from s2sw.pipeline.results import full_map, mask, open_results
results = open_results(sys.argv[1])
row = results.sql("FROM slices ORDER BY image_score DESC LIMIT 1").to_arrow_table().to_pylist()[0]
frame = results.pandas()
print(json.dumps([full_map(row).shape, int(mask(row).sum()), len(frame), len(results.objects())]))
"""
REVIEWING = """
from pathlib import Path
from tests.pipeline.review.serving import served
with served(sys.argv[1], Path(sys.argv[2])) as client:
    page = client.get("/")
    slice_ = client.get("/slice/" + page.text.split('/slice/')[1].split('"')[0].replace("&amp;", "&"))
print(page.status, slice_.status)
"""
COMMANDS = """
import json
from s2sw.jobs.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["s2sw", *words]
    try:
        main()
    except SystemExit as end:
        print(f"\\nended: {end.code}", flush=True)
"""
COMMAND = "from s2sw.jobs.cli import main; sys.argv[0] = 's2sw'; main()"


@pytest.fixture(scope="module")
def screened(tmp_path_factory: pytest.TempPathFactory) -> Screened:
    names = ["line-0/part-02.png", "ward/head.nii", "ward/ct.dcm", "line-1/part-01.png"]
    return screen_archive(tmp_path_factory.mktemp("light"), "open", names)


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    blocked = BLOCKED.format(names=set(SCREENING))
    command = [sys.executable, "-c", blocked + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=os.environ)


def test_results_are_read_and_their_maps_rebuilt(screened: Screened) -> None:
    done = run(READING, screened.output)
    assert done.returncode == 0, done.stderr
    shape, inside, slices, objects = json.loads(done.stdout)
    assert min(shape) > 50
    assert inside > 0
    assert slices == 18 + 3
    assert objects == 4


def test_the_review_page_shows_a_slice(screened: Screened) -> None:
    done = run(REVIEWING, screened.output, screened.private)
    assert (done.returncode, done.stdout) == (0, "200 200\n"), done.stderr


READERS = (
    ("report", "{out}", "--html", "{to}-report.html"),
    ("verify", "{out}"),
    ("threshold", "{out}", "--target-rate", "0.5"),
    ("export", "{out}", "--format", "coco", "--to", "{to}-coco"),
    ("export", "{out}", "--format", "dicom-seg", "--to", "{to}-seg", "--threshold", "0.1", "--top", "0"),
    ("export", "{out}", "--html", "{to}-export.html"),
    ("compact", "{out}"),
)


def test_commands_that_read_work(screened: Screened, tmp_path: Path) -> None:
    """One after another in one process, which lacks the packages to its end."""
    told = [[one.format(out=screened.output, to=tmp_path / "to") for one in words] for words in READERS]
    done = run(COMMANDS, json.dumps(told))
    assert done.returncode == 0, done.stderr
    assert re.findall("^ended: (.*)$", done.stdout, re.MULTILINE) == ["0"] * len(READERS), done.stderr


def test_a_command_that_screens_says_what_it_needs(screened: Screened, tmp_path: Path) -> None:
    done = run(COMMAND, "screen", screened.archive, "--output", tmp_path / "out")
    assert done.returncode == 2
    assert re.fullmatch(
        r"s2sw: .*this command needs the package \w+: pip install 's2sw\[screen\]'\n", done.stderr
    )


def test_the_light_set_of_packages_has_none_of_them() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^\w-]", one)[0].replace("-", "_").removesuffix("_torch") for one in requirements}

    assert not names(project["dependencies"]) & SCREENING
    assert names(extras["screen"]) >= SCREENING
    for extra in ("demo", "dev", "train"):
        assert "s2sw[screen]" in extras[extra]


@pytest.mark.clients
def test_what_pip_installs_by_itself_is_enough(screened: Screened, tmp_path: Path) -> None:
    """The package as users get it, in an environment of its own without any extra."""
    s2sw, python = program("s2sw", "s2sw"), program("s2sw")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert not {line.split()[0].replace("-", "_") for line in listed.splitlines()} & SCREENING
    for arguments in (
        ["report", "{out}", "--html", "{to}.html"],
        ["worklist", "{out}", "--budget", "2"],
        ["export", "{out}", "--format", "coco", "--to", "{to}"],
        ["export", "{out}", "--html", "{to}-top.html"],
        ["verify", "{out}"],
    ):
        told = [one.format(out=screened.output, to=tmp_path / "to") for one in arguments]
        done = subprocess.run(
            [s2sw, *told], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stderr
    script = tmp_path / "reading.py"
    script.write_text("import sys\n" + READING)
    shape, inside, slices, objects = json.loads(answer_of("s2sw", script, screened.output))
    assert (min(shape) > 50, inside > 0, slices, objects) == (True, True, 18 + 3, 4)
