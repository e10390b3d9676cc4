"""What ``s2sw boundary check`` says of a run, and that it says what the run then does."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from s2sw.jobs.cli import app
from s2sw.pipeline.ledger.audit import start_facts
from s2sw.pipeline.privacy.ids import KEY_ENV, load_or_create_key
from s2sw.schemas.config import ScreenConfig, config_hash
from s2sw.schemas.tables import OBJECTS, SLICES


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["boundary", "check", *map(str, arguments)])


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(f"source: {tmp_path}/a\noutput: {tmp_path}/out\nprivate_dir: {tmp_path}/private\n")
    return path


def test_the_digest_is_the_one_of_the_audit_log_and_needs_the_key(job: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    key = load_or_create_key(tmp_path / "private")
    config = ScreenConfig(source=f"{tmp_path}/a", output=f"{tmp_path}/out", private_dir=f"{tmp_path}/private")
    text = check(job).stdout
    assert config_hash(config, key) in text
    assert config_hash(config) not in text, "whoever reads it could try sources"
    assert start_facts(config, "b", "f", key)["config_hmac"] in text


def test_with_a_key_per_output_no_other_digest_is_shown(job: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    load_or_create_key(tmp_path / "private")
    job.write_text(job.read_text() + "key_per_output: true\n")
    text = check(job).stdout
    assert "made with the output's own key" in text
    assert "as in the audit log" not in text


def test_a_local_private_run_has_nothing_to_object_to(job: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = check(job)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert sorted(tmp_path.rglob("*")) == before
    assert "the first run makes the key" in result.stdout
    for text in (*OBJECTS.names, *SLICES.names, "uri: always empty", f"{tmp_path}/private/id.key", "burned"):
        assert text in result.stdout
    connects = result.stdout.partition("Connects to\n")[2].partition("Listens")[0].split("\n")
    assert [line.strip() for line in connects if line] == [
        "127.0.0.1: Ray's processes among themselves",
        "nothing else",
    ]


def test_s3_names_the_one_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.ward.example")
    result = check("s3://lake", "-o", "s3://results")
    assert result.exit_code == 0, result.output
    assert "https://s3.ward.example: read and write objects" in result.stdout
    result = check("s3://lake", "-o", "s3://results", "--endpoint-url", "https://other.example")
    assert "https://other.example" in result.stdout
    assert "ward.example" not in result.stdout


def test_the_key_is_never_shown(job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, "5a" * 32)
    result = check(job)
    assert KEY_ENV in result.stdout
    assert "5a5a" not in result.output


@pytest.mark.parametrize(
    ("lines", "warning"),
    [
        ("mode: open", "mode: open writes the address"),
        ("cluster: {address: 'ray.example:6379'}", "was started by others"),
        ("storage: {endpoint_url: 'http://s3.example'}\noutput: s3://results", "is not encrypted"),
        ("private_dir: OUT/private", "lie in each other"),
        ("cluster: {temp_dir: /nonexistent}", "cannot write to /nonexistent"),
    ],
)
def test_what_an_officer_should_not_accept(tmp_path: Path, lines: str, warning: str) -> None:
    out, job = tmp_path / "out", tmp_path / "job.yaml"
    values = {"source": "/archive", "output": str(out), "private_dir": str(tmp_path / "private")}
    chosen = dict(line.split(": ", 1) for line in lines.replace("OUT", str(out)).split("\n"))
    job.write_text("".join(f"{key}: {value}\n" for key, value in (values | chosen).items()))
    result = check(job)
    assert result.exit_code == 1, result.output
    assert warning in result.stdout


def test_folders_and_keys_that_others_can_read_are_named(job: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o755)
    key = tmp_path / "private" / "id.key"
    key.write_text("5a" * 32)
    key.chmod(0o644)
    result = check(job)
    assert result.exit_code == 1
    assert f"chmod 600 {key}" in result.stdout
    assert f"chmod 700 {tmp_path / 'private'}" in result.stdout


def test_a_configuration_that_cannot_work_is_one_line(tmp_path: Path) -> None:
    result = check(tmp_path / "none.yaml")
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (2, "", 1)
