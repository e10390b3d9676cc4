"""``s2sw export`` as users call it."""

import shutil
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from s2sw.jobs.cli import app
from s2sw.pipeline.privacy.ids import KEY_FILE
from tests.pipeline.exports.exported import rows_of
from tests.support.archives import dicom_file
from tests.support.s3server import S3Server
from tests.support.screened import Screened, screen_archive


def export(screened: Screened, *arguments: str | Path) -> Result:
    command = ["export", screened.output, "--private-dir", screened.private, *arguments]
    return CliRunner().invoke(app, [str(part) for part in command])


def refused(screened: Screened, *arguments: str | Path) -> str:
    """Return the one line that the command ends with."""
    result = export(screened, *arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    (line,) = result.stderr.splitlines()
    return line.removeprefix("s2sw: ")


@pytest.mark.parametrize(
    ("format_", "flags"),
    [
        ("png", "--reveal pixels"),
        ("fiftyone", "--reveal pixels"),
        ("label-studio", "--reveal pixels"),
        ("dicom-seg", "--reveal patient"),
        ("dicom-heat", "--reveal patient --reveal pixels"),
    ],
)
def test_private_results_reveal_nothing_that_was_not_asked_for(
    private_archive: Screened, tmp_path: Path, format_: str, flags: str
) -> None:
    line = refused(private_archive, "-f", format_, "--to", tmp_path / "out")
    assert line.startswith(f"the results are private and {format_} holds ")
    assert line.endswith(f"ask for it with {flags}")
    assert not (tmp_path / "out").exists()


def test_a_page_of_private_results_must_be_asked_for_too(private_archive: Screened, tmp_path: Path) -> None:
    assert "--reveal pixels" in refused(private_archive, "--html", tmp_path / "top.html")
    done = export(private_archive, "--html", tmp_path / "top.html", "--reveal", "pixels", "--top", "5")
    assert done.exit_code == 0
    said, written = done.stdout.splitlines()
    assert "pictures of the objects, with whatever is burned into them" in said
    assert written == f"5 slices written to {tmp_path / 'top.html'}"
    page = (tmp_path / "top.html").read_text()
    assert not [name for name in private_archive.ids if name in page]
    assert (tmp_path / "top.html").stat().st_mode & 0o077 == 0


def test_asking_for_what_a_format_never_holds_is_refused(private_archive: Screened, tmp_path: Path) -> None:
    line = refused(private_archive, "-f", "csv", "--to", tmp_path / "out", "--reveal", "pixels")
    assert line == "--reveal pixels: the format csv never holds that; leave it out"


def test_files_of_private_results_are_their_owners_alone(private_archive: Screened, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    done = export(private_archive, "-f", "coco", "--to", out, "--reveal", "pixels", "--top", "2")
    assert done.exit_code == 0, done.output
    made = [out.parent, out, *out.rglob("*")]
    assert len(made) == 6
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in made} == {0}


def test_open_results_need_no_asking_and_still_say_what_they_hold(
    open_archive: Screened, tmp_path: Path
) -> None:
    done = export(open_archive, "-f", "png", "--to", tmp_path / "out", "--top", "1")
    assert done.exit_code == 0, done.output
    assert "addresses of the objects" in done.stdout
    assert "pictures of the objects" in done.stdout


def test_a_source_that_cannot_be_read_is_counted_and_the_others_follow(
    open_archive: Screened, tmp_path: Path
) -> None:
    gone, changed = (open_archive.archive / "line-0" / f"part-{n:02}.png" for n in (2, 4))
    kept = tmp_path / "kept.png"
    shutil.copy2(changed, kept)
    gone.rename(tmp_path / "gone.png")
    changed.write_bytes(b"another picture")
    try:
        done = export(open_archive, "-f", "label-studio", "--to", tmp_path / "out", "--top", "0")
    finally:
        (tmp_path / "gone.png").rename(gone)
        shutil.copy2(kept, changed)
    assert done.exit_code == 0
    assert f"{len(rows_of(open_archive)) - 2} slices written to {tmp_path / 'out'}" in done.stdout
    assert done.stderr.startswith("s2sw: 2 slices were left out or have no picture: ")
    assert {"not_found 1", "changed 1"} <= set(done.stderr.split(": ")[2].strip().split(", "))


def test_slices_without_a_place_have_a_report_and_are_counted_in_one_line(tmp_path: Path) -> None:
    files = {f"ward/{name}": dicom_file(name) for name in ("CT_small.dcm", "US1_UNCR.dcm", "SC_rgb.dcm")}
    ward = screen_archive(tmp_path, "open", files=files)
    out = tmp_path / "out"
    done = export(ward, "-f", "dicom-seg", "--to", out, "--top", "0")
    assert done.exit_code == 0, done.output
    assert f"3 slices written to {out}" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("s2sw: 2 of the slices written have a report but no segmentation (no_place): ")
    ids = [ward.ids[name] for name in sorted(files)]
    written = [sum(one in path.name for path in out.iterdir()) for one in ids]
    assert written == [2, 1, 1]


def test_without_the_crosswalk_nothing_can_be_shown(private_archive: Screened, tmp_path: Path) -> None:
    arguments = ["-f", "png", "--to", tmp_path / "out", "--reveal", "pixels", "--private-dir", tmp_path]
    done = export(private_archive, *arguments)
    assert done.exit_code == 1
    assert "cannot be checked without its id key" in done.stderr
    assert not (tmp_path / "out").exists()
    shutil.copy(private_archive.private / KEY_FILE, tmp_path)
    done = export(private_archive, *arguments)
    assert done.exit_code == 1
    assert "0 slices written" in done.stdout
    assert "name its folder with --private-dir" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "name a format and a folder (--format coco --to DIR), or a page (--html FILE)"),
        (["-f", "coco"], "name a format and a folder (--format coco --to DIR), or a page (--html FILE)"),
        (["-f", "coco", "--html", "x.html"], "--html is a format of its own; leave out --format and --to"),
    ],
)
def test_what_is_missing_or_too_much_is_said(
    private_archive: Screened, arguments: list[str], line: str
) -> None:
    assert refused(private_archive, *arguments) == line


def test_nothing_is_written_among_other_files(private_archive: Screened, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    line = refused(private_archive, "-f", "csv", "--to", tmp_path)
    assert line == f"--to {tmp_path} is not empty; name a new folder"
    assert "is a folder; name a file" in refused(private_archive, "--html", tmp_path)


def test_an_output_without_results_is_refused(private_archive: Screened, tmp_path: Path) -> None:
    empty = Screened(private_archive.archive, tmp_path, private_archive.private, {})
    assert "holds no runs" in refused(empty, "-f", "csv", "--to", tmp_path / "out")
    gone = Screened(private_archive.archive, tmp_path / "gone", private_archive.private, {})
    assert "no such output" in refused(gone, "-f", "csv", "--to", tmp_path / "out")


@pytest.mark.integration
def test_results_on_s3_are_exported_too(private_archive: Screened, s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.client().put(f"{private_archive.output}/", f"{bucket}/results/", recursive=True)
    wanted = ["-f", "csv", "--top", "0", "--private-dir", str(private_archive.private), "--to"]
    for source, name in ((f"s3://{bucket}/results", "remote"), (private_archive.output, "local")):
        done = CliRunner().invoke(app, ["export", str(source), *wanted, str(tmp_path / name)])
        assert done.exit_code == 0, done.output
    remote, local = (tmp_path / name / "worklist.csv" for name in ("remote", "local"))
    assert remote.read_bytes() == local.read_bytes()
    wrong = CliRunner().invoke(app, ["export", f"s3://{bucket}/other", *wanted, str(tmp_path / "none")])
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert f"s3://{bucket}/other holds no runs" in wrong.stderr
