"""What the docs' snippets speak of, made small: an archive, its results, data sets, bundles, job files.

Addresses such as ``/results`` mean folders below one root, and the home is one of its folders.
"""

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import yaml
from typer.testing import CliRunner

from s2sw.connectors.outputs.local import LocalOutput
from s2sw.jobs.cli import app
from s2sw.pipeline.flagging.decisions import Decision, append
from s2sw.pipeline.results.reading import open_results
from s2sw.schemas.decisions import DecisionKind
from tests.support import bundles, training_pictures
from tests.support.archives import encoded, texture
from tests.support.finished_runs import SECOND, SETTINGS
from tests.support.screened import archive_files, screen_archive
from tests.support.snippets import Snippet, snippets

_ROOTS = re.compile(r"(?<![\w.:/*])/(results|archive|private|data|models)\b")
_SAME = {"/path/to/": "/", "demo-output/": "/", "20260702T010000-1a2b3c": SECOND}
_PLAIN = 24
"""Pictures beside the volume and the CT: with what the archive has, enough for a profile of its own."""


class World:
    """Folders below a root. work: where snippets are run; home: the account's."""

    def __init__(self, root: Path) -> None:
        self.root, self.work, self.home = root, root / "work", root / "home"
        self._kept = root.with_name(f"{root.name}-kept")

    def build(self) -> None:
        """Make everything, and keep a copy to return to."""
        files = archive_files() | {
            f"line-2/part-{seed:02}.png": encoded(texture(90, 120, seed), "PNG") for seed in range(_PLAIN)
        }
        screened = screen_archive(self.root, files=files)
        self.work.mkdir()
        self.home.mkdir()
        screened.private.rename(self.home / ".s2sw")
        (self.root / "results").chmod(0o700)
        self._decide()
        self._data()
        for name in ("work/my-bundle", "models/s2swclip-visa", "models/anomalyclip-visa"):
            (self.root / name).parent.mkdir(exist_ok=True)
            bundles.bundle(self.root / name, seed=len(name))
        job = {"source": self.told("/archive"), "output": self.told("/results"), "profile": "none"}
        (self.work / "nightly.yaml").write_text(yaml.safe_dump(job))
        (suite,) = (one for one in snippets("yaml") if one.text.startswith("bundles:"))
        (self.work / "suite.yaml").write_text(self.told(suite.text))
        assert CliRunner().invoke(app, ["worklist", self.told("/results"), "--budget", "40"]).exit_code == 0
        shutil.copytree(self.root, self._kept)

    def restore(self) -> None:
        """Undo what a snippet did."""
        shutil.rmtree(self.root)
        shutil.copytree(self._kept, self.root)

    def told(self, text: str) -> str:
        """Return a text with the addresses of this world."""
        for theirs, ours in _SAME.items():
            text = text.replace(theirs, ours)
        return _ROOTS.sub(lambda found: f"{self.root}{found[0]}", text)

    def commands(self, snippet: Snippet) -> list[list[str]]:
        """Return the words of the snippet's commands, without ``s2sw``."""
        return [words[1:] for words in Snippet(snippet.place, "sh", self.told(snippet.text)).commands]

    def _decide(self) -> None:
        """Add reviewers' decisions on the highest slice of each object: of four three are anomalies."""
        output = LocalOutput(self.root / "results")
        rows = open_results(str(output.root)).slices().to_pylist()
        highest = {row["object_id"]: row for row in sorted(rows, key=lambda row: row["image_score"])}
        ranked = sorted(highest.values(), key=lambda row: -row["image_score"])
        when = datetime(2026, 7, 4, tzinfo=UTC)
        for place, row in enumerate(ranked):
            kind = DecisionKind.REJECT if place % 4 == 3 else DecisionKind.ACCEPT
            append(output, [Decision(row["object_id"], row["slice_index"], SETTINGS, kind, "ada", when, 0.5)])

    def _data(self) -> None:
        data = self.root / "data"
        for name in ("mvtec", "visa"):
            training_pictures.write(data / name, count=3)
        pictures = sorted((data / "mvtec").glob("bolt/test/*/*.png"))
        lines = [f"{one},{int(one.parent.name != 'good')}" for one in pictures]
        for name in ("parts.csv", "headct.csv"):
            (data / name).write_text("\n".join(["image,label", *lines]) + "\n")
        bright = [one for one in pictures if one.parent.name == "bright"]
        (data / "isbi").mkdir()
        for one in bright:
            mask = data / "mvtec/bolt/ground_truth/bright" / f"{one.stem}_mask.png"
            shutil.copy(one, data / "isbi" / one.name)
            shutil.copy(mask, data / "isbi" / mask.name)
        listed = [
            {"img_path": one.name, "mask_path": f"{one.stem}_mask.png", "cls_name": "skin",
             "specie_name": "", "anomaly": 1}
            for one in bright
        ]  # fmt: skip
        (data / "isbi/meta.json").write_text(json.dumps({"test": {"skin": listed}}))
