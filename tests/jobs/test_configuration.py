"""A job file and options become one configuration; whatever is wrong is one line that names the key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from s2sw.jobs.build_file import arguments_of
from s2sw.jobs.configuration import ConfigurationError, build_config, is_configuration, read_flags
from s2sw.pipeline.evaluation.suites import read_suite
from s2sw.schemas.errors import UserError

GOOD = "source: /archive\noutput: /results\n"


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    return tmp_path / "job.yaml"


def refusal(file: Path | None, **options: object) -> str:
    with pytest.raises(ConfigurationError) as error:
        build_config(file, options)
    message = str(error.value)
    assert "\n" not in message
    return message


def test_options_override_the_file(job_file: Path) -> None:
    job_file.write_text(GOOD + "threshold: 0.3\ntiles: {size: 512, overlap: 64}\nlimit: 7\n")
    config = build_config(job_file, {"threshold": 0.4, "tiles.size": 256, "source": None, "limit": None})
    assert (config.source, config.threshold, config.limit) == ("/archive", 0.4, 7)
    assert (config.tiles.size, config.tiles.overlap) == (256, 64)


@pytest.mark.parametrize("until", ["22:30", "'22:30'", "6:00", "90m", "01:05"])
def test_times_need_no_quotes(job_file: Path, until: str) -> None:
    job_file.write_text(GOOD + f"until: {until}\nlimit: 0x10\n")
    config = build_config(job_file, {})
    assert (config.until, config.limit) == (until.strip("'"), 16)


def test_paths_start_at_the_files_folder(job_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("LAKE", "/lake")
    job_file.write_text("source: $LAKE/in\noutput: out\nprivate_dir: ~/keys\nmetrics_file: s2sw.prom\n")
    config = build_config(job_file, {})
    folder = job_file.parent
    assert (config.source, config.output) == ("/lake/in", f"{folder}/out")
    assert (config.private_dir, config.metrics_file) == ("/home/ada/keys", f"{folder}/s2sw.prom")


def test_options_alone_are_enough() -> None:
    config = build_config(None, {"source": "/a", "output": "/o", "cluster.workers": 2, "mode": "open"})
    assert (config.cluster.workers, config.mode, config.bundle) == (2, "open", "embedded")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("colour: red\n", ["unknown key 'colour'", "threshold", "tiles"]),
        ("tiles: {sise: 3}\n", ["unknown key 'tiles.sise'", "size, overlap, max_tiles"]),
        ("decode: {limits: {sides: 3}}\n", ["unknown key 'decode.limits.sides'", "side", "frame_bytes"]),
        ("limit: many\n", ["'limit'", "'many'"]),
        ("threshold: [1]\n", ["'threshold'", "[1]"]),
        ("tiles: 512\n", ["'tiles'", "512"]),
        ("tiles: {size: 8, overlap: 9}\n", ["'tiles'", "overlap (9) must be below size (8)"]),
        ("mode: public\n", ["'mode'", "'private' or 'open'", "'public'"]),
        (
            "groups: {columns: [modality, patient]}\n",
            [
                "'groups.columns.1'",
                "'modality', 'body_part', 'view', 'laterality', 'plane', 'series' or 'site'",
            ],
        ),
        ("groups: {columns: [modality, site]}\n", ["'groups'", "the column site needs the pattern site"]),
        ("limit: -1\nthreshold: 2\n", ["'limit'", "'threshold'"]),
        ("limit: 99999999999999999999\n", ["'limit'", "1000000000000000"]),
        ("parts: {seconds: .inf}\n", ["'parts.seconds'", "finite"]),
        ("limit: 3\nlimit: 4\n", ["the key 'limit' occurs twice"]),
        ("tiles: {size: 3, size: 4}\n", ["the key 'size' occurs twice"]),
        ("private_dir: $S2SW_NOWHERE/x\n", ["'private_dir'", "$S2SW_NOWHERE is not set"]),
    ],
)
def test_what_is_wrong_is_named(job_file: Path, text: str, parts: list[str]) -> None:
    job_file.write_text(GOOD + text)
    message = refusal(job_file)
    assert message.startswith(f"{job_file}: ")
    assert all(part in message for part in parts), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"source: [unclosed\n", "not valid YAML"),
        (b"source: \xff\xfe\n", "not valid YAML"),
        (b"source: a\x00b\n", "not valid YAML"),
        (b"- a\n- b\n", "keys and values are expected"),
        (b"", "keys and values are expected"),
        (b"just words\n", "keys and values are expected"),
        (b"source: /archive\n", "'output' is missing"),
        (b"1: 2\nsource: a\noutput: b\n", "'1': Keys should be strings"),
    ],
)
def test_files_that_are_no_configuration(job_file: Path, content: bytes, part: str) -> None:
    job_file.write_bytes(content)
    message = refusal(job_file)
    assert message.startswith(f"{job_file}: ")
    assert part in message


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.yaml")
    assert "directory" in refusal(tmp_path)


def test_an_option_below_a_value_is_refused(job_file: Path) -> None:
    job_file.write_text(GOOD + "tiles: 5\n")
    assert "tiles must hold keys and values" in refusal(job_file, **{"tiles.size": 3})


def test_without_a_file_no_file_is_named() -> None:
    assert refusal(None, source="/a").startswith("'output' is missing: folder or s3://")


@pytest.mark.parametrize(("name", "is_file"), [("a.yaml", True), ("B.YML", True), ("s3://b/p", False)])
def test_job_files_are_told_by_their_names(name: str, is_file: bool) -> None:
    assert is_configuration(name) is is_file


def test_an_output_whose_name_is_no_utf_8_is_refused_by_name() -> None:
    message = refusal(None, source="/a", output="/results-\udcff")
    assert "'output': its name is not UTF-8" in message
    message.encode()  # it can be printed


BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60))])


@pytest.mark.parametrize(
    "text",
    [
        f"{BOMB}\nsource: *a59\n", f"{BOMB}\nclasses: {{rules: {{a: *a59}}}}\n",
        "source: " + "[" * 2000 + "]" * 2000,
        "source: " + "9" * 5000, "source: 0x" + "f" * 5000, "source: 2001-99-99", "source: &a [*a]",
        "? [a]\n: 1", "? {a: b}\n: 1", "a: &a {x: 1}\n<<: *a\n", "\n".join(f"k{i}: 1" for i in range(2000)),
        "source: !!python/object/apply:os.system [id]", "source: " + "x" * (1 << 20),
    ],
    ids=[
        "aliases", "aliases in a rule", "depth", "number", "number in hex", "day", "circle", "list for a key",
        "mapping for a key", "merge", "many keys", "python", "length",
    ],
)  # fmt: skip
def test_odd_yaml_is_refused_in_one_short_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    readers: tuple[Callable[[Path], object], ...] = (
        lambda file: build_config(file, {}),
        read_flags,
        read_suite,
        lambda file: arguments_of(file, "s2swclip", ()),
    )
    for read in readers:
        with pytest.raises(UserError) as refused:
            read(file)
        assert len(str(refused.value)) < 20_000
        assert "\n" not in str(refused.value)
