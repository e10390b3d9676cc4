"""What somebody else wrote into an output is nothing that a terminal obeys, and ends in no traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.text import Text
from typer.testing import CliRunner, Result

from s2sw.jobs.cli import app
from s2sw.model.bundles.record import read_record
from s2sw.model.errors import BundleError
from s2sw.pipeline.reports.summary_text import detector_line
from s2sw.schemas.config import GroupSettings
from s2sw.schemas.profile import GroupRecord, LimitRecord, LineRecord, ProfileRecord, profile_bytes
from s2sw.schemas.shown import printable
from tests.support.bundles import bundle
from tests.support.screened import Screened

ESCAPE = "\x1b]0;title\x07\x1b[2J"
DEEP = "[" * 200_000


def commands(ward: Screened, to: Path) -> list[list[object]]:
    return [
        ["report", ward.output], ["audit", "verify", ward.output], ["verify", ward.output],
        ["export", ward.output, "-f", "csv", "--to", to, "--private-dir", ward.private],
    ]  # fmt: skip


def quiet(ward: Screened, to: Path) -> list[Result]:
    """Run every command that reads results; none may end in a traceback, or hand an escape on."""
    done = [CliRunner().invoke(app, [str(part) for part in command]) for command in commands(ward, to)]
    for one in done:
        assert one.exception is None or isinstance(one.exception, SystemExit), one.exception
        assert not set("\x1b\x07\x9b\u202e") & set(one.output)
    return done


def in_records(output: Path) -> None:
    for path in (output / "runs").glob("*.json"):
        path.write_text(path.read_text().replace("mvtec.pth", json.dumps(f"mvtec{ESCAPE}")[1:-1]))


def in_names(output: Path) -> None:
    for folder, name in (("objects", "-00000.parquet"), ("runs", ".json"), ("audit", "00000009.jsonl")):
        (output / folder / f"{ESCAPE}{name}").write_bytes(b"PAR1 no table PAR1")


def in_the_log(output: Path) -> None:
    for path in (output / "audit").iterdir():
        entry = json.loads(path.read_text()) | {"run_id": ESCAPE, "user": ESCAPE, "event": ESCAPE}
        path.write_text(json.dumps(entry, sort_keys=True, separators=(",", ":")) + "\n")


def deep_records(output: Path) -> None:
    for path in (output / "runs").glob("*.json"):
        path.write_text(DEEP)


def deep_log(output: Path) -> None:
    for path in (output / "audit").iterdir():
        path.write_text(DEEP)


@pytest.mark.parametrize("attack", [in_records, in_names, in_the_log, deep_records, deep_log])
def test_files_of_an_output(ward: Screened, tmp_path: Path, attack: Callable[[Path], None]) -> None:
    attack(ward.output)
    quiet(ward, tmp_path / "out")


COLUMNS: dict[str, list[tuple[str, Any]]] = {
    "slices": [
        ("image_score", pa.string()), ("rows", pa.string()), ("token_map", pa.int64()),
        ("map_layers", pa.string()), ("tiles", pa.string()), ("run_id", pa.list_(pa.string())),
    ],
    "objects": [
        ("object_id", pa.int64()), ("status", pa.int64()), ("uri", pa.binary()), ("reason", pa.float32()),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "column", "kind"), [(table, *one) for table, found in COLUMNS.items() for one in found]
)
def test_columns_of_another_type(ward: Screened, tmp_path: Path, table: str, column: str, kind: Any) -> None:
    for path in (ward.output / table).rglob("*.parquet"):
        whole = pq.ParquetFile(path).read()
        place = whole.column_names.index(column)
        pq.write_table(whole.set_column(place, column, pa.nulls(len(whole), kind)), path)
    quiet(ward, tmp_path / "out")


def test_scores_that_are_none_are_left_out_and_said(ward: Screened, tmp_path: Path) -> None:
    for path in (ward.output / "slices").rglob("*.parquet"):
        whole = pq.ParquetFile(path).read()
        place = whole.column_names.index("image_score")
        scores = pa.array([float("nan"), *[2.0] * (len(whole) - 1)], pa.float32())
        pq.write_table(whole.set_column(place, "image_score", scores), path)
    report = quiet(ward, tmp_path / "out")[0]
    assert "invalid rows are left out" in report.output


def test_what_is_said_keeps_its_letters() -> None:
    assert printable("Gewebe älter, 画像 ✓") == "Gewebe älter, 画像 ✓"
    assert printable(f"a{ESCAPE}\u202eb\udcff") == "a\\x1b]0;title\\x07\\x1b[2J\\u202eb\\udcff"


LIMIT = LimitRecord(size=0.01, contrast=0.1, seeds=5, found=1)
MARKUP = f"{ESCAPE}[link=https://evil.example]\u202e[/oops]"


def group(label: str = "", limits: tuple[LimitRecord, ...] = (LIMIT,)) -> GroupRecord:
    line = LineRecord(offset=0, scale=1)
    lines = dict.fromkeys(("patches", "token", "picture", "score", "rank", "map"), line)
    return GroupRecord(
        name="a", label=label, file=f"groups/{'a' * 26}.safetensors", sha256="0" * 64, pictures=40,
        objects=40, resemblance=1, weight=0.5, taps=(line,), limits=limits, **lines,
    )  # fmt: skip


def profile_of(folder: Path, *groups: GroupRecord, detector: str = "dino") -> Path:
    """Write a profile with the checksum that fits, as anybody can."""
    record = ProfileRecord(
        detector=detector, bundle="b", precision="fp32", decode="0" * 64, key_id="", created=detector,
        listed=40, settings=GroupSettings(), groups=groups,
    )  # fmt: skip
    folder.mkdir()
    (folder / "profile.json").write_bytes(profile_bytes(record.named()))
    return folder


def test_texts_of_a_profile_are_neither_obeyed_nor_markup(tmp_path: Path) -> None:
    folder = profile_of(tmp_path / "p", group(label=MARKUP), detector=MARKUP)
    done = CliRunner().invoke(app, ["profile", "show", str(folder)])
    assert done.exit_code == 0, done.exception
    assert not set("\x1b\x07\u202e") & set(done.output)
    assert "[/oops]" in done.output


@pytest.mark.parametrize(
    "limits",
    [
        (LIMIT.model_copy(update={"found": 6}),),
        (LIMIT,) * 1000,
        (LIMIT.model_copy(update={"seeds": 10**400}),),
    ],
    ids=["more found than seeded", "too many", "no such number"],
)
def test_limits_that_no_run_writes_are_refused_in_one_line(
    tmp_path: Path, limits: tuple[LimitRecord, ...]
) -> None:
    folder = profile_of(tmp_path / "p", group().model_copy(update={"limits": limits}))
    done = CliRunner().invoke(app, ["profile", "show", str(folder)])
    assert isinstance(done.exception, SystemExit)
    assert "is damaged at 'groups.0.limits" in done.output.replace("\n", "")


def test_texts_of_a_bundle_are_not_obeyed(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle")
    record = read_record(folder).model_copy(update={"clip": MARKUP, "prompts": MARKUP}).sealed()
    (folder / "bundle.json").write_text(record.text(), encoding="utf-8")
    done = CliRunner().invoke(app, ["bundle", "show", str(folder)])
    assert isinstance(done.exception, SystemExit), done.exception
    assert "holds control characters" in done.output.replace("\n", " ")
    assert not set("\x1b\x07\u202e") & set(done.output)
    said = detector_line({"detector": MARKUP, "prompts": MARKUP, "trained": True})
    assert "\x1b" not in said
    assert "[/oops]" in Text.from_markup(said).plain


@pytest.mark.parametrize("std", [0.0, -1.0, float("inf"), float("nan")])
def test_colours_that_nothing_can_be_divided_by_are_refused(tmp_path: Path, std: float) -> None:
    folder = bundle(tmp_path / "bundle")
    document = json.loads((folder / "bundle.json").read_text()) | {"std": [std] * 3}
    (folder / "bundle.json").write_text(json.dumps(document))
    with pytest.raises(BundleError, match=r"bundle\.json: std"):
        read_record(folder)
