"""What cannot work is refused in one line that names it, with exit code 2, before anything is written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from s2sw.jobs.cli import app
from tests.support.archives import encoded, texture
from tests.support.commands import s2sw
from tests.support.s3server import S3Server


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a.png").write_bytes(encoded(texture(30, 30, 1), "PNG"))
    return folder


Refusal = Callable[..., str]


@pytest.fixture
def refusal(tmp_path: Path, source: Path) -> Refusal:
    """Return a function that runs the command, checks how it was refused, and returns the line."""

    def refuse(*arguments: str | Path, output: str | Path | None = None) -> str:
        target = output or tmp_path / "results"
        before = sorted(tmp_path.rglob("*"))
        result = CliRunner().invoke(
            app,
            ["screen", *map(str, arguments), "-o", str(target), "--private-dir", str(tmp_path / "private")],
        )
        assert result.exit_code == 2, (result.output, result.exception)
        assert result.stdout == ""
        assert sorted(tmp_path.rglob("*")) == before
        (line,) = result.stderr.splitlines()
        assert line.startswith("s2sw: ")
        return line

    return refuse


def test_a_missing_source(refusal: Refusal, tmp_path: Path) -> None:
    line = refusal(tmp_path / "none")
    assert f"source: cannot list {tmp_path / 'none'}" in line
    assert "does not exist: check the spelling" in line


def test_an_empty_source(refusal: Refusal, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert f"source: {tmp_path / 'empty'} holds no files" in refusal(tmp_path / "empty")


def test_a_source_of_another_kind(refusal: Refusal) -> None:
    assert "source: gs://bucket is neither a folder nor s3://" in refusal("gs://bucket")


def test_an_unknown_key_in_a_job_file(refusal: Refusal, source: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"source: {source}\ntreshold: 0.4\n")
    line = refusal(job)
    assert f"{job}: unknown key 'treshold'" in line
    assert "threshold" in line


def test_a_missing_job_file(refusal: Refusal, tmp_path: Path) -> None:
    assert f"{tmp_path / 'none.yaml'}: No such file" in refusal(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--precision", "fp64", "'precision'"),
        ("--threshold", "1.5", "'threshold'"),
        ("--limit", "0", "'limit'"),
        ("--tile", "-5", "'tiles.size'"),
        ("--until", "soon", "until: 'soon'"),
    ],
)
def test_a_value_out_of_range(refusal: Refusal, source: Path, option: str, value: str, named: str) -> None:
    assert named in refusal(source, option, value)


def test_a_bundle_that_is_not_there(refusal: Refusal, source: Path, tmp_path: Path) -> None:
    line = refusal(source, "--bundle", tmp_path / "none")
    assert line.startswith(f"s2sw: bundle: {tmp_path / 'none'}")


def test_a_folder_that_is_no_bundle(refusal: Refusal, source: Path) -> None:
    assert line_of_bundle(refusal, source, source)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"detector": "s2swclip"}', "\x00"])
def test_a_bundle_whose_record_is_broken(
    refusal: Refusal, source: Path, bundle: Path, tmp_path: Path, content: str
) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    (copy / "bundle.json").write_text(content)
    assert line_of_bundle(refusal, source, copy)


@pytest.mark.parametrize("change", ["cut", "flip", "remove"])
def test_a_bundle_whose_weights_are_damaged(
    refusal: Refusal, source: Path, bundle: Path, tmp_path: Path, change: str
) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    weights = copy / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    if change == "remove":
        weights.unlink()
    else:
        weights.write_bytes(data if change == "flip" else data[:1000])
    assert line_of_bundle(refusal, source, copy)


def line_of_bundle(refusal: Refusal, source: Path, folder: Path) -> str:
    line = refusal(source, "--bundle", folder)
    assert line.startswith(f"s2sw: bundle: {folder}")
    return line


@pytest.mark.parametrize("below", ["", "deep/results"])
def test_a_file_in_the_way_of_the_output(refusal: Refusal, source: Path, tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    line = refusal(source, output=tmp_path / "file" / below)
    assert f"output: cannot write to {tmp_path / 'file'}" in line
    assert "is a file, not a folder" in line


def test_a_gpu_where_there_is_none(refusal: Refusal, source: Path, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(f"source: {source}\ndevice: cuda\n")
    assert "device: cuda" in refusal(job)


def test_a_file_in_the_way_of_the_private_folder(refusal: Refusal, source: Path, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("in the way")
    assert f"{tmp_path / 'private'}" in refusal(source)


def test_a_key_that_others_can_read(refusal: Refusal, source: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private/id.key").write_text("ab" * 32)
    (tmp_path / "private/id.key").chmod(0o644)
    assert "chmod 600" in refusal(source)


@pytest.mark.integration
def test_an_output_bucket_that_is_not_there(refusal: Refusal, source: Path, s3: S3Server) -> None:
    line = refusal(source, output="s3://no-such-bucket/results")
    assert "output: cannot write to s3://no-such-bucket/results" in line
    assert "does not exist" in line


@pytest.mark.integration
def test_an_s3_server_that_does_not_answer(refusal: Refusal, s3: S3Server, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("source: s3://bucket/x\nstorage: {endpoint_url: 'http://127.0.0.1:1', tries: 1}\n")
    line = refusal(job)
    assert "source: cannot list s3://bucket/x" in line
    assert "http://127.0.0.1:1" in line


@pytest.mark.integration
def test_wrong_keys_for_the_output(
    refusal: Refusal, source: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "wrong")
    with s3.fresh_clients():
        line = refusal(source, output=f"s3://{bucket}/results")
    assert f"output: cannot write to s3://{bucket}/results" in line
    assert "AWS_ACCESS_KEY_ID" in line
    assert s3.client().find(bucket) == []


def test_the_process_itself_says_no_more(tmp_path: Path) -> None:
    done = s2sw("screen", tmp_path / "none", "-o", tmp_path / "results", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"s2sw: source: cannot list {tmp_path / 'none'}")
    assert list(tmp_path.iterdir()) == []


def test_a_metrics_file_that_cannot_be(refusal: Refusal, source: Path, tmp_path: Path) -> None:
    assert f"metrics_file: {source} is a folder" in refusal(source, "--metrics-file", source)
    below_a_file = source / "a.png/s2sw.prom"
    assert f"metrics_file: cannot write {below_a_file}" in refusal(source, "--metrics-file", below_a_file)
    assert "'metrics_file': must be a local path" in refusal(
        source, "--metrics-file", "s3://bucket/s2sw.prom"
    )
