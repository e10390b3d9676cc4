"""What is left of the text of errors, warnings and log records in private mode."""

import logging
import subprocess
import sys
import threading
import warnings

import pytest

from s2sw.pipeline.privacy.redaction import StageError, describe, seal, withheld
from s2sw.schemas.outcomes import Reason, ScreeningError

NAME = "DOE^JANE"


def test_log_records_of_others_lose_their_text(caplog: pytest.LogCaptureFixture) -> None:
    seal()
    logging.getLogger("codec").error("Invalid value for VR UI: %r", NAME, stack_info=True)
    try:
        raise ValueError(NAME)
    except ValueError:
        logging.getLogger("ray.data").exception("task failed: %s", NAME)
        logging.getLogger("s2sw.pipeline.run.metrics").exception("cannot write %s", "file")
    assert NAME not in caplog.text
    assert "codec: text withheld" in caplog.text
    assert "cannot write file" in caplog.text
    assert "Traceback" not in caplog.text


def test_warnings_are_silent(capsys: pytest.CaptureFixture[str]) -> None:
    seal()
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # as a library may ask for
        warnings.warn(NAME, stacklevel=1)
    assert capsys.readouterr() == ("", "")


def test_uncaught_errors_say_where_and_not_what(capsys: pytest.CaptureFixture[str]) -> None:
    seal()

    def fail() -> None:
        raise KeyError(NAME)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    said = capsys.readouterr().err
    assert "KeyError" in said
    assert NAME not in said


def test_an_uncaught_error_ends_a_process_without_a_traceback() -> None:
    code = (
        "from s2sw.pipeline.privacy.redaction import seal; seal(); "
        f"raise OSError('cannot read /archive/{NAME}.dcm')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert done.stderr.startswith("s2sw: OSError")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ScreeningError(Reason.TRUNCATED, NAME), "truncated"),
        (FileNotFoundError(2, NAME, NAME), "No such file or directory"),
        (OSError(NAME), "OSError"),
        (ValueError(NAME), "ValueError"),
    ],
)
def test_what_may_be_said_of_an_error(error: Exception, text: str) -> None:
    assert describe(error) == text


def test_the_place_of_an_error_is_a_line_of_the_program() -> None:
    from s2sw.pipeline.run.window import parse_until

    with pytest.raises(ValueError, match=r"DOE") as caught:
        parse_until(NAME, None)  # type: ignore[arg-type]
    assert describe(caught.value).startswith("ValueError at pipeline/run/window.py:")


def test_what_leaves_a_stage_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StageError) as caught, withheld(private=True):
        raise NotImplementedError(NAME)
    assert str(caught.value).startswith("unsupported: NotImplementedError")
    assert caught.value.__cause__ is None
    with pytest.raises(NotImplementedError, match="JANE"), withheld(private=False):
        raise NotImplementedError(NAME)
